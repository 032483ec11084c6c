#include "hone/core/difference.h"

#include "hone/core/error.h"
#include "support/catch.h"

namespace hone {
namespace {

TEST_CASE("Every place in which two recipes differ is a problem of its own") {
  const Json then = {{"lr", 1e-3}, {"data", {{"train", {"a", "b"}}}}, {"seed", 1}};
  Json now = then;
  CHECK(differences(then, now, "differs").empty());
  CHECK_NOTHROW(must_agree(then, now, "differs"));

  now["lr"] = 2e-3;
  now["data"]["train"][1] = "c";
  now.erase("seed");
  now["new"] = true;
  CHECK(differences(then, now, "differs").size() == 4);
  CHECK_THROWS_AS(must_agree(then, now, "differs"), ConfigError);
  CHECK_THROWS_WITH(must_agree(then, now, "differs"),
                    Catch::Contains("/lr: differs") && Catch::Contains("/data/train/1: differs") &&
                        Catch::Contains("/seed: differs") && Catch::Contains("/new: differs"));
}

}  // namespace
}  // namespace hone

#include "hone/run/manifest.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "hone/core/version.h"
#include "support/catch.h"

using namespace hone;

TEST_CASE("A manifest tells what a run was made with") {
  const Json data = {{"train", Json::array()}, {"held_out", Json::array()}};
  const Json manifest = run::make_manifest("hone-domain", 9007199254740993, {at::kCPU, at::kFloat},
                                           run::Compute::kBfloat16Products, "abc", data);
  CHECK(manifest.at("app") == "hone-domain");
  CHECK(manifest.at("seed") == 9007199254740993);  // no double holds it
  CHECK(manifest.at("threads") == at::get_num_threads());
  CHECK(manifest.at("device") == "cpu");
  CHECK(manifest.at("dtype") == "Float");
  CHECK(manifest.at("compute") == "bfloat16_products");
  CHECK(manifest.at("versions").at("hone") == version());
  CHECK_FALSE(manifest.at("versions").at("libtorch").get<std::string>().empty());
  CHECK(manifest.at("hardware").at("cores") > 0);
  CHECK(manifest.at("hardware").at("memory_bytes") > int64_t{1} << 28);
  CHECK(manifest.at("base_weights") == "abc");
  CHECK(manifest.at("data") == data);
}

TEST_CASE("A base without weights has no hash, and another type another name") {
  const Json manifest =
      run::make_manifest("a", 0, {at::kCPU, at::kBFloat16}, run::Compute::kAuto, "", nullptr);
  CHECK(manifest.at("base_weights").is_null());
  CHECK(manifest.at("dtype") == "BFloat16");
}

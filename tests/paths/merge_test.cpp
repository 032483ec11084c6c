#include "hone/paths/merge.h"

#include "support/catch.h"

namespace hone::paths {
namespace {

TEST_CASE("Sizes of shards are read as transformers writes them") {
  CHECK(parse_bytes("5GB") == 5'000'000'000);
  CHECK(parse_bytes("1.5 MiB") == 3 << 19);
  CHECK(parse_bytes("1000") == 1000);
  for (const char* text : {"", "GB", "-1GB", "0", "5 GX", "5GBs", "nan", "1e30"}) {
    INFO(text);
    CHECK_FALSE(parse_bytes(text));
  }
}

}  // namespace
}  // namespace hone::paths

#include "hone/config/describe.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "config/sample.h"
#include "hone/config/schema.h"

namespace hone::config {
namespace {

const Json kSchema = schema<sample::Sample>("sample", "A sample.");

TEST_CASE("every key is described, nested ones after their holder") {
  std::vector<std::string> lines;
  for (const KeyDescription& key : describe_keys(kSchema)) {
    lines.push_back(key.key + " | " + key.type + " | " + key.default_value + " | " + key.help);
  }
  CHECK(lines ==
        std::vector<std::string>{"about | string | required | What it shows.",
                                 "verbose | boolean | false | Says more.",
                                 "steps | integer in [0, 1000] | 100 | Steps.",
                                 "seed | integer | 0 | Seed.",
                                 "lr | number in [0, 10] | 0.0001 | Learning | rate.",
                                 "bias | number | 0.0 | Bias.",
                                 "mode | one of fast, safe | \"safe\" | Mode.",
                                 "fallback | one of fast, safe |  | Second mode.",
                                 "limit | integer in [1, 50] |  | Limit; only in mode fast.",
                                 "depth | integer | 3 | Depth.",
                                 "adapter | object |  | Adapter.",
                                 "adapter.rank | integer in [1, 512] | 8 | Rank.",
                                 "adapter.targets | list of string | [\"q_proj\"] | Modules.",
                                 "second | object |  | Second adapter.",
                                 "second.rank | integer in [1, 512] | 8 | Rank.",
                                 "second.targets | list of string | [\"q_proj\"] | Modules.",
                                 "rates | list of number in [0, 1] | [0.5] | Rates.",
                                 "sources | list of object | [] | Sources.",
                                 "sources[].file | string | required | File.",
                                 "sources[].weight | number in [0, 10] | 1.0 | Share.",
                                 "grid | list of list of integer in [-5, 5] | [] | Grid.",
                                 "weights | map of number in [0, 100] | {} | Weights.",
                                 "named | map of object | {} | Named sources.",
                                 "named.<name>.file | string | required | File.",
                                 "named.<name>.weight | number in [0, 10] | 1.0 | Share."});
}

struct Bounds {
  double low = 1, high = 1;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("low", self.low, "Low.", Range{1, INFINITY});
    v("high", self.high, "High.", Range{-INFINITY, 2.5});
  }
};

TEST_CASE("a range that is open on one side is said so") {
  CHECK(describe_text(schema<Bounds>("b", "")) ==
        "  low   Low. (number from 1, default 1.0)\n"
        "  high  High. (number up to 2.5, default 1.0)\n");
}

TEST_CASE("the text for a terminal is aligned") {
  const std::string text = describe_text(kSchema);
  CHECK(
      text.starts_with("  about                What it shows. (string, required)\n"
                       "  verbose              Says more. (boolean, default false)\n"));
  CHECK(text.find("  named.<name>.weight  Share. (number in [0, 10], default 1.0)\n") !=
        std::string::npos);
}

}  // namespace
}  // namespace hone::config

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "hone/core/error.h"
#include "hone/core/field.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/core/names.h"
#include "hone/core/random.h"
#include "hone/core/version.h"

namespace hone {
enum class Colour { kRed, kBlue };
template <>
struct EnumNames<Colour> {
  static constexpr std::pair<Colour, const char*> values[] = {{Colour::kRed, "red"},
                                                              {Colour::kBlue, "blue"}};
};
namespace {

TEST_CASE("a ConfigError says everything at once") {
  const ConfigError error({{"/train/lr", "must be positive"}, {"", "is empty"}});
  CHECK(std::string(error.what()) == "/train/lr: must be positive\n/: is empty");
}

TEST_CASE("errors name their place") {
  CHECK(std::string(IoError("a.json", "is empty").what()) == "a.json: is empty");
  CHECK(IoError("a.json", "is empty").path() == "a.json");
  CHECK(std::string(DataError("rows.jsonl", 7, "has no text").what()) ==
        "rows.jsonl:7: has no text");
}

TEST_CASE("Validation reports against its struct's path") {
  std::vector<Problem> problems;
  Validation validation(
      "/lora", [](const std::string& path) { return path == "/lora/rank"; }, problems);
  validation.problem("alpha", "is odd");
  validation.no_effect("rank", "here");
  validation.no_effect("alpha", "here");
  CHECK(validation.is_set("rank"));
  CHECK_FALSE(validation.is_set("alpha"));
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].path == "/lora/alpha");
  CHECK_FALSE(problems[0].no_effect);
  CHECK(problems[1].path == "/lora/rank");
  CHECK(problems[1].message == "has no effect here; remove it");
  CHECK(problems[1].no_effect);
}

TEST_CASE("nearest names") {
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("same", "same") == 0);
  CHECK(nearest_name("lr", {"eps", "lr"}) == "lr");
  CHECK_FALSE(nearest_name("lr", {}));
  CHECK(did_you_mean("dropuot", {"dropout", "rank"}) == "; did you mean dropout?");
  CHECK(did_you_mean("zzzzzz", {"dropout", "rank"}).empty());
}

TEST_CASE("pointer steps are escaped as RFC 6901 says") {
  CHECK(pointer_step("a~/b~1") == "a~0~1b~01");
  CHECK(pointer_step("") == "");
}

TEST_CASE("enums have names both ways") {
  CHECK(enum_name(Colour::kBlue) == "blue");
  CHECK(enum_from_name<Colour>("red") == Colour::kRed);
  CHECK_FALSE(enum_from_name<Colour>("green"));
  CHECK_FALSE(enum_from_name<Colour>("Red"));
  CHECK(enum_names<Colour>() == std::vector<std::string>{"red", "blue"});
}

TEST_CASE("Random gives SplitMix64's numbers and resumes from its state") {
  Random random(1234567);  // Reference: the test vector published with Vigna's splitmix64.c.
  CHECK(random.next() == 6457827717110365317u);
  CHECK(random.next() == 3203168211198807973u);
  Random other(0);
  other.set_state(random.state());
  CHECK(other.next() == random.next());
}

TEST_CASE("Random::below covers its range and shuffle keeps the elements") {
  Random random(1);
  std::set<uint64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(random.below(5));
  CHECK(seen == std::set<uint64_t>{0, 1, 2, 3, 4});
  std::vector<int> values = {1, 2, 3, 4, 5, 6, 7, 8};
  auto shuffled = values;
  random.shuffle(shuffled);
  CHECK(shuffled != values);
  CHECK(std::multiset<int>(shuffled.begin(), shuffled.end()) ==
        std::multiset<int>(values.begin(), values.end()));
  CHECK(derive_seed(1, "loader") != derive_seed(1, "init"));
}

TEST_CASE("Random::uniform fills [0, 1) evenly") {
  Random random(3);
  double sum = 0, lowest = 1, highest = 0;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform();
    sum += value;
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  CHECK(lowest >= 0);
  CHECK(highest < 1);
  CHECK(highest - lowest > 0.999);
  CHECK(sum / kDraws == Approx(0.5).margin(0.01));  // five times the standard error
}

TEST_CASE("derived seeds are part of the contract") {
  CHECK(derive_seed(1, "loader") == hash64("loader", 1));
  CHECK(derive_seed(1, "loader") != derive_seed(2, "loader"));
  // Reference: XXH3_64bits of an empty input, xxHash 0.8.1.
  CHECK(hash64("") == 0x2d06800538d394c2);
}

TEST_CASE("the log goes to its sink") {
  std::string seen;
  set_log_sink([&](LogLevel level, std::string_view text) {
    seen += (level == LogLevel::kWarning ? "W:" : "I:") + std::string(text) + ";";
  });
  log_info("a");
  log_warning("b");
  set_log_sink(nullptr);
  log_info("c");
  CHECK(seen == "I:a;W:b;");
}

TEST_CASE("the version has three numbers") {
  int numbers[3], end = 0;
  const std::string text = version();
  REQUIRE(std::sscanf(text.c_str(), "%d.%d.%d%n", numbers, numbers + 1, numbers + 2, &end) == 3);
  CHECK(static_cast<size_t>(end) == text.size());
}

}  // namespace
}  // namespace hone

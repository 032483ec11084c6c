#include <catch2/catch.hpp>
#include <set>

#include "hone/core/error.h"
#include "hone/core/hardware.h"
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

TEST_CASE("nearest names") {
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(did_you_mean("dropuot", {"dropout", "rank"}) == "; did you mean dropout?");
  CHECK(did_you_mean("zzzzzz", {"dropout", "rank"}).empty());
}

TEST_CASE("enums have names both ways") {
  CHECK(enum_name(Colour::kBlue) == "blue");
  CHECK(enum_from_name<Colour>("red") == Colour::kRed);
  CHECK_FALSE(enum_from_name<Colour>("green"));
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

TEST_CASE("hardware is found") {
  const HardwareReport report = detect_hardware();
  CHECK(report.cores >= 1);
  CHECK(report.memory_bytes > (int64_t{1} << 28));
  CHECK(peak_resident_bytes() >= resident_bytes());
  CHECK(resident_bytes() > 0);
}

TEST_CASE("the version has three numbers") {
  CHECK(std::string(version()).find('.') != std::string::npos);
}

}  // namespace
}  // namespace hone

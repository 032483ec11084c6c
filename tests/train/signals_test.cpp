#include "hone/train/controllers/signals.h"

#include <set>

#include "support/catch.h"

using namespace hone::train;

TEST_CASE("A signal is what was measured last, and fresh until the controllers were asked") {
  Signals signals;
  CHECK_FALSE(signals.find("loss"));
  signals.set("loss", 2);
  signals.set("lr", 0.1);
  signals.set("loss", 1);
  CHECK(signals.find("loss") == 1.0);
  CHECK(signals.fresh() == std::set<std::string>{"loss", "lr"});
  signals.age();
  CHECK(signals.fresh().empty());
  signals.set("lr", 0.1);
  CHECK(signals.fresh() == std::set<std::string>{"lr"});
  CHECK(signals.values().size() == 2);
}

TEST_CASE("Every signal in the list is one, and a family needs a member's name") {
  for (const SignalInfo& signal : all_signals()) {
    const std::string name = signal.name;
    INFO(name);
    CHECK_FALSE(std::string(signal.help).empty());
    CHECK(is_signal(name));
    const size_t family = name.find('<');
    if (family == std::string::npos) {
      CHECK_FALSE(is_signal(name + "/0"));
      continue;
    }
    CHECK(is_signal(name.substr(0, family) + "0"));
    CHECK_FALSE(is_signal(name.substr(0, family)));
  }
  CHECK_FALSE(is_signal(""));
  CHECK_FALSE(is_signal("Loss"));
}

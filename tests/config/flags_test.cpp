#include "hone/config/flags.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "hone/core/version.h"

namespace hone::config {
namespace {

struct Options {
  std::string folder;
  std::optional<std::string> note;
  int64_t most_words = 3;
  double heat = 0.5;
  bool loud = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("folder", self.folder, "Where.", Required{});
    v("note", self.note, "A note.");
    v("most_words", self.most_words, "How many.", Range{1, 9});
    v("heat", self.heat, "How hot.");
    v("loud", self.loud, "Aloud.");
  }
  void validate(Validation& v) const {
    if (!loud) v.no_effect("heat", "unless loud");
  }
};

struct Outcome {
  int code;
  std::string out, err;
};

Outcome run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "hone-sample");
  std::ostringstream out, err;
  const int code = run_flag_app<Options>(
      static_cast<int>(arguments.size()), arguments.data(), {"hone-sample", "Does nothing."},
      "folder",
      [&out](const Options& o) {
        out << o.folder << "|" << o.note.value_or("-") << "|" << o.most_words << "|" << o.heat
            << "|" << o.loud;
        return 7;
      },
      out, err);
  return {code, out.str(), err.str()};
}

TEST_CASE("flags are the fields of a struct, one of them without its name") {
  const Outcome some = run({"here", "--note", "12", "--most-words=4", "--loud", "--heat", "1e-1"});
  CHECK(some.err == "");
  CHECK(some.out == "here|12|4|0.1|1");
  CHECK(some.code == 7);
  CHECK(run({"--folder", "there"}).out == "there|-|3|0.5|0");
}

TEST_CASE("flags that are wrong are refused by their names, with exit code 2") {
  CHECK(run({}).err.find("--folder: required key is missing: Where.") != std::string::npos);
  const Outcome wrong = run({"x", "--most-words", "ten", "--heat", "1"});
  CHECK(wrong.code == kUsage);
  CHECK(wrong.out.empty());
  CHECK(wrong.err.find("--most-words: expected integer, got \"ten\"") != std::string::npos);
  CHECK(wrong.err.find("--heat: has no effect unless loud; remove it") != std::string::npos);
  CHECK(run({"x", "--most-words", "10"}).err.find("--most-words: must be in [1, 9], got 10") !=
        std::string::npos);
  CHECK(run({"x", "--most-word=1"}).err ==
        "hone-sample: unknown flag --most-word; did you mean --most-words?\nTry hone-sample "
        "--help\n");
  CHECK(run({"x", "y"}).code == kUsage);
  CHECK(run({"x", "--note", "a", "--note", "b"}).err.find("--note is given twice") !=
        std::string::npos);
  CHECK(run({"x", "--note"}).code == kUsage);
}

TEST_CASE("help names every flag with its default, and the version is the library's") {
  const Outcome help = run({"--help"});
  CHECK(help.code == kDone);
  for (const char* part :
       {"Does nothing.", "--most-words", "How many. [3]", "--loud", "--version"}) {
    CHECK(help.out.find(part) != std::string::npos);
  }
  CHECK(run({"--version"}).out == std::string("hone-sample ") + hone::version() + "\n");
}

}  // namespace
}  // namespace hone::config

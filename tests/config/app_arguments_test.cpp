#include "hone/config/app_arguments.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <new>
#include <sstream>

#include "config/sample.h"
#include "hone/core/version.h"
#include "support/temporary_folder.h"

namespace hone::config {
namespace {

using sample::Sample;

const AppInfo kInfo = {"hone-sample", "Does nothing.", "sample", true, true, true};

AppArguments parse(std::vector<const char*> arguments, const AppInfo& info = kInfo) {
  arguments.insert(arguments.begin(), "hone-sample");
  return parse_arguments(static_cast<int>(arguments.size()), arguments.data(), info);
}

struct Outcome {
  int code;
  std::string out, err;
};

/// Runs an app whose callbacks say on stdout which of them ran, with what.
Outcome run(std::vector<const char*> arguments, AppCallbacks<Sample>::Callback work = nullptr) {
  arguments.insert(arguments.begin(), "hone-sample");
  std::ostringstream out, err;
  const auto say = [&out](const std::string& what) {
    return [&out, what](const Sample& sample, const AppArguments& given) {
      out << what << " steps=" << sample.steps << " out=" << given.out;
      return what == "run" ? 143 : kDone;
    };
  };
  AppCallbacks<Sample> callbacks = {work ? work : say("run"), say("plan"), say("dump")};
  const int code = run_app<Sample>(static_cast<int>(arguments.size()), arguments.data(), kInfo,
                                   callbacks, out, err);
  return {code, out.str(), err.str()};
}

TEST_CASE("every flag is parsed") {
  const AppArguments none = parse({});
  CHECK(none.config.empty());
  CHECK(none.set.empty());
  CHECK(none.out.empty());
  CHECK_FALSE((none.print_config || none.schema || none.help || none.version || none.resume ||
               none.plan || none.dump_data));

  const AppArguments some = parse({"--config", "a.json", "--set", "b=[1,2]", "--set=c=", "--set",
                                   "d=x,y", "--out=o", "--resume"});
  CHECK(some.config == "a.json");
  CHECK(some.set == std::vector<std::string>{"b=[1,2]", "c=", "d=x,y"});
  CHECK(some.out == "o");
  CHECK(some.resume);
  CHECK(parse({"--print-config"}).print_config);
  CHECK(parse({"--schema"}).schema);
  CHECK(parse({"--plan"}).plan);
  CHECK(parse({"--dump-data", "f"}).dump_data == "f");
  CHECK(parse({"--help"}).help);
  CHECK(parse({"-h"}).help);
  CHECK(parse({"--version"}).version);
  CHECK_FALSE(parse({"--plan=false"}).plan);
  AppInfo teaching = kInfo;
  teaching.cache_teacher = true;
  CHECK(parse({"--cache-teacher", "f"}, teaching).cache_teacher == "f");
  CHECK_THROWS_WITH(parse({"--cache-teacher", "f", "--plan"}, teaching),
                    "only one of --plan, --cache-teacher can be done at a time");
}

TEST_CASE("bad command lines are refused by name") {
  CHECK_THROWS_WITH(parse({"--confg", "--sett=1", "x"}),
                    "unknown flag --confg; did you mean --config?\n"
                    "unknown flag --sett; did you mean --set?\nunexpected argument \"x\"");
  CHECK_THROWS_AS(parse({"--config"}), UsageError);
  CHECK_THROWS_AS(parse({"--plan=maybe"}), UsageError);
  CHECK_THROWS_WITH(parse({"-x"}), "unknown flag -x");
  CHECK_THROWS_WITH(parse({"--config", "a", "--config", "b"}), "--config is given twice");
  CHECK_THROWS_WITH(parse({"--plan", "--schema"}),
                    "only one of --schema, --plan can be done at a time");
  CHECK_THROWS_WITH(parse({"--resume"}), "--resume needs --out, the folder of the run to continue");
}

TEST_CASE("flags that an app lacks are unknown") {
  const AppInfo bare = {"hone-bare", "Less.", "run", false, false, false};
  for (const char* flag : {"--resume", "--plan", "--dump-data", "--cache-teacher"}) {
    CHECK_THROWS_AS(parse({flag, "--out=o"}, bare), UsageError);
    CHECK(usage(bare).find(flag) == std::string::npos);
  }
}

// The command line is a promise to scripts: a change here breaks them. A new knob is a config key.
TEST_CASE("the flags are frozen") {
  CHECK(usage(kInfo) == R"(Does nothing.
Usage:
  hone-sample [OPTION...]

      --config FILE     JSON file with the configuration
      --set KEY=VALUE   Set one key of it, as in --set train.lr=3e-4; may be given again
      --out FOLDER      Folder that the run writes
      --resume          Continue the run in --out from its newest checkpoint
      --plan            Predict the memory that the run needs, and leave
      --dump-data FILE  Write each token with its label and weight as JSONL, and leave
      --print-config    Print the configuration with every default, and leave
      --schema          Print the JSON Schema of the configuration, and leave
  -h, --help            Print this and every key of the configuration, and leave
      --version         Print the version, and leave
)");
}

TEST_CASE("run_app answers --help, --version, --schema and --print-config itself") {
  const Outcome help = run({"--help"});
  CHECK(help.code == kDone);
  CHECK(help.out ==
        usage(kInfo) + "\nKeys of the configuration:\n" + describe_text(schema<Sample>("", "")));
  CHECK(run({"--version"}).out == "hone-sample " + std::string(version()) + "\n");
  CHECK(Json::parse(run({"--schema"}).out) == schema<Sample>("hone-sample", "Does nothing."));
  const Outcome printed = run({"--print-config", "--set", "about=x", "--set", "steps=5"});
  CHECK(printed.code == kDone);
  const Sample sample = read_config<Sample>(Json::parse(printed.out));
  CHECK(sample.steps == 5);
  CHECK(sample.about == "x");
}

TEST_CASE("run_app gives the callback the configuration and returns its code") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/recipe.json";
  std::ofstream(path) << R"({"about": "x", "steps": 20})";
  const Outcome ran = run({"--config", path.c_str(), "--out", "o"});
  CHECK(ran.code == 143);
  CHECK(ran.out == "run steps=20 out=o");
  CHECK(ran.err.empty());
  const Outcome planned = run({"--plan", "--config", path.c_str(), "--set", "steps=3"});
  CHECK(planned.code == kDone);
  CHECK(planned.out == "plan steps=3 out=");
  CHECK(run({"--dump-data", "f", "--config", path.c_str()}).out == "dump steps=20 out=");
}

TEST_CASE("a run is resumed with its own configuration where none is given") {
  const TemporaryFolder folder;
  std::ofstream(folder.path + "/config.json") << R"({"about": "x", "steps": 30})";
  CHECK(run({"--resume", "--out", folder.path.c_str()}).out == "run steps=30 out=" + folder.path);
}

TEST_CASE("a bad command line or configuration is exit code 2, and nothing runs") {
  const Outcome usage_error = run({"--bad"});
  CHECK(usage_error.code == kUsage);
  CHECK(usage_error.err == "hone-sample: unknown flag --bad\nTry hone-sample --help\n");
  CHECK(usage_error.out.empty());

  const Outcome config_error = run({"--set", "stesp=1", "--plan"});
  CHECK(config_error.code == kUsage);
  CHECK(config_error.err ==
        "hone-sample: the configuration has 2 problems:\n"
        "/about: required key is missing: What it shows.\n"
        "/stesp: unknown key; did you mean steps?\n");
  CHECK(config_error.out.empty());

  CHECK(run({"--config", "/nonexistent/recipe.json"}).code == kUsage);
  CHECK(run({"--set", "about=\xff"}).code == kUsage);
  CHECK(run({"--set", ""}).code == kUsage);

  const Outcome nowhere = run({"--set", "about=x"});
  CHECK(nowhere.code == kUsage);
  CHECK_THAT(nowhere.err, Catch::Contains("--out is needed: the folder that the sample writes"));
  CHECK(nowhere.out.empty());
}

TEST_CASE("failures of the work are exit code 1, bad configurations found there 2") {
  const auto throwing = [](auto error) {
    return [error](const Sample&, const AppArguments&) -> int { throw error; };
  };
  const std::vector<const char*> good = {"--set", "about=x", "--out", "o"};
  const Outcome failed = run(good, throwing(IoError("data.jsonl", "is gone")));
  CHECK(failed.code == kFailure);
  CHECK(failed.err == "hone-sample: data.jsonl: is gone\n");
  CHECK(run(good, throwing(std::bad_alloc())).err == "hone-sample: out of memory\n");
  const Outcome torch = run(
      good, throwing(std::runtime_error("bad shape\nException raised from f at a.cpp:1\nframe")));
  CHECK(torch.err == "hone-sample: bad shape\n");
  CHECK(torch.code == kFailure);
  const Outcome late = run(good, throwing(ConfigError({{"/model", "has no weights"}})));
  CHECK(late.code == kUsage);
  CHECK(late.err == "hone-sample: the configuration has 1 problem:\n/model: has no weights\n");
}

}  // namespace
}  // namespace hone::config

#include "hone/run/resumption.h"

#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/run/compute.h"
#include "hone/run/manifest.h"
#include "hone/run/report.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::run;
namespace fs = std::filesystem;

namespace {

const Reread kAsItIs = [](const Json& config) { return config; };
const Json kBegun = {
    {"seed", 1}, {kComputeKey, "float32"}, {"train", {{"steps", 10}, {"lr", 0.1}}}};

/// A folder with the run of kBegun in it, opened to go on with.
struct Begun : TemporaryFolder {
  io::RunFolder folder = [&] {
    {
      const io::RunFolder made = io::RunFolder::create(path + "/run", false);
      made.write_json(io::kConfigFile, kBegun);
      made.write_json(kManifestFile, {{"app", "test"}});
    }
    return io::RunFolder::create(path + "/run", true);
  }();

  void report(const std::string& ending, int64_t steps) const {
    folder.write_json(io::kReportFile, {{"ending", ending}, {"steps", steps}});
  }
  /// A checkpoint of this phase.
  void checkpoint(int64_t step, const std::string& phase) {
    io::AtomicFolder made = folder.begin_checkpoint(step);
    io::replace_file_atomically(made.path() + "/state.json", Json{{"phase", phase}}.dump());
    made.commit();
  }
  /// What reopen() says against this configuration; "" if it takes it.
  std::string refusal(const Json& config) {
    try {
      reopen(folder, config, kAsItIs);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  }
  Json config() const { return read_json_file(folder.file(io::kConfigFile)); }
};

Json with_steps(const Json& steps) {
  Json config = kBegun;
  config["train"]["steps"] = steps;
  return config;
}

}  // namespace

TEST_CASE("The run that was begun goes on, as its own recipe reads today") {
  Begun run;
  CHECK(run.refusal(kBegun) == "");
  Json newer = kBegun;
  newer["memory"] = 0;  // a key that came since
  CHECK_NOTHROW(reopen(run.folder, newer, [](Json config) {
    config["memory"] = 0;
    return config;
  }));
  CHECK(run.config() == kBegun);
  CHECK_FALSE(read_json_file(run.folder.file(kManifestFile)).contains(kLengthened));
}

TEST_CASE("Nothing is asked of a new folder") {
  const TemporaryFolder root;
  io::RunFolder folder = io::RunFolder::create(root.path + "/run", false);
  CHECK_NOTHROW(reopen(folder, kBegun, [](const Json&) -> Json { throw Error("asked"); }));
}

TEST_CASE("Every key that differs is named, and a length only as one that grows") {
  Begun run;
  Json other = with_steps(9);
  other["seed"] = 2;
  other["train"]["lr"] = 0.2;
  const std::string text = run.refusal(other);
  const std::string differs =
      ": differs from the run that is resumed; give it the run's own config.json, or begin a new "
      "run in another --out";
  for (const std::string& line :
       {"/seed" + differs, "/train/lr" + differs,
        std::string(
            "/train/steps: was 10 when the run was begun, and a resumed run can only become "
            "longer; got 9")}) {
    INFO(text);
    CHECK(text.find(line) != std::string::npos);
  }
  // Another unit of length is another run.
  Json epochs = kBegun;
  epochs["train"]["epochs"] = 2;
  CHECK_THAT(run.refusal(epochs), Catch::StartsWith("/train/epochs: differs"));
  CHECK_THAT(run.refusal(with_steps("11")), Catch::StartsWith("/train/steps: was 10"));
  CHECK(run.config() == kBegun);
}

TEST_CASE("A run that goes on may become longer, and the manifest says so") {
  Begun run;
  run.checkpoint(4, "main");
  CHECK(run.refusal(with_steps(11)) == "");
  CHECK(run.config() == with_steps(11));
  const Json manifest = read_json_file(run.folder.file(kManifestFile));
  CHECK(manifest.at("app") == "test");
  CHECK(manifest.at(kLengthened) ==
        Json{{{"key", "/train/steps"}, {"from", 10}, {"to", 11}, {"at_step", 4}}});
  CHECK(run.refusal(with_steps(20)) == "");
  CHECK(read_json_file(run.folder.file(kManifestFile)).at(kLengthened).size() == 2);
}

TEST_CASE("A run that has ended at its last step is opened again") {
  Begun run;
  run.report("done", 10);
  run.folder.write_json("report.html", "page");
  run.checkpoint(10, "main");
  CHECK(run.refusal(with_steps(11)) == "");
  CHECK_FALSE(fs::exists(run.folder.file(io::kReportFile)));
  CHECK_FALSE(fs::exists(run.folder.file("report.html")));
}

TEST_CASE("One that ended otherwise, or keeps no checkpoint, cannot become longer") {
  const std::string cannot = "/train/steps: the run cannot become longer: ";
  for (const char* ending : {"diverged", "stopped by the guard", "pruned", "stopped by a signal"}) {
    Begun run;
    run.report(ending, 10);
    run.checkpoint(10, "main");
    CHECK(run.refusal(with_steps(11)) ==
          cannot + "it has ended already (" + std::string(ending) + ")");
    CHECK(fs::exists(run.folder.file(io::kReportFile)));
  }
  Begun stopped;
  stopped.report("done", 9);
  CHECK(stopped.refusal(with_steps(11)) == cannot + "its controllers stopped it at step 9 of 10");
  Begun bare;
  bare.report("done", 10);
  const std::string none = cannot +
                           "it keeps no checkpoint to go on from (train.save_every); "
                           "begin a new run from its model/ instead";
  CHECK(bare.refusal(with_steps(11)) == none);
  bare.checkpoint(3, "embeddings");
  CHECK(bare.refusal(with_steps(11)) == none);
  CHECK(bare.config() == kBegun);
}

TEST_CASE("Weights and documents must be those of the beginning") {
  const auto manifest = [](const char* weights, const char* law, const char* held) {
    return Json{{"base_weights", weights},
                {"data",
                 {{"train", {{{"name", "law"}, {"hash", law}}}},
                  {"held_out", {{{"name", "wiki"}, {"hash", held}}}}}}};
  };
  const Json then = manifest("w", "l", "h");
  CHECK_NOTHROW(check_same_inputs(then, then));
  try {
    check_same_inputs(then, manifest("W", "L", "H"));
    FAIL("other inputs were taken");
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    for (const char* part :
         {"/model: the weights of the base differ from those that the run was begun with (hash "
          "\"w\" then, \"W\" now)",
          "/data/train/0: the documents of law differ",
          "/data/held_out/0: the documents of wiki"}) {
      INFO(text);
      CHECK(text.find(part) != std::string::npos);
    }
  }
  // Manifests of older versions lack hashes, or sets.
  CHECK_NOTHROW(check_same_inputs(Json::object(), then));
  Json old = then;
  old["base_weights"] = nullptr;
  old["data"]["train"][0].erase("hash");
  CHECK_NOTHROW(check_same_inputs(old, manifest("W", "L", "h")));
}

TEST_CASE("A run that has ended says so again, with its exit code") {
  const auto again = [](const char* ending) {
    const Begun run;
    run.report(ending, 10);
    return ended_report(run.folder);
  };
  CHECK(again("done").exit_code == 0);
  CHECK_THAT(again("done").summary, Catch::EndsWith("/run has ended already (done)"));
  CHECK(again("done").json.at("steps") == 10);
  CHECK(again("stopped by the guard").exit_code == 0);
  CHECK(again("diverged").exit_code == 3);
  CHECK_THAT(again("diverged").summary, Catch::Contains("; it wrote no model: lower train.lr"));
  CHECK(exit_code(train::Outcome{.ending = train::Ending::kSignal, .signal = 15}) == 143);
}

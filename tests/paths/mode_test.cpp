#include "hone/paths/dynamic/mode.h"

#include <filesystem>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::paths;

namespace {

struct Folder : TemporaryFolder {
  std::string run = path + "/run", record = path + "/record.jsonl";

  Folder() { std::ofstream(record) << "{\"run\": 1}\n"; }
  /// The mode of a new run, or of the run gone on with.
  DynamicMode settle(const DynamicMode& given, bool resume) const {
    return settle_mode(io::RunFolder::create(run, resume), given);
  }
  /// What is said against going on like that; "" if nothing.
  std::string refusal(const DynamicMode& given) const {
    try {
      settle(given, true);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  }
};

const std::string kAnother = "; leave the flag out, or begin a new run in another --out";

}  // namespace

TEST_CASE("A new run has the mode that its flags say, and writes it down") {
  const Folder folder;
  const DynamicMode mode =
      folder.settle({.dry_run = true, .replay = folder.record, .serve = 8080}, false);
  CHECK(mode.dry_run);
  CHECK(mode.replay == folder.record);
  CHECK(mode.serve == 8080);
  CHECK(read_json_file(folder.run + "/mode.json") ==
        Json{{"dry_run", true}, {"replay", folder.record}});
  CHECK(read_file(folder.run + "/replay.jsonl") == "{\"run\": 1}\n");
}

TEST_CASE("A resumed run goes on as it was begun, whatever flags are left out") {
  const Folder folder;
  folder.settle({.dry_run = true, .replay = folder.record}, false);
  std::filesystem::remove(folder.record);  // the copy is what counts
  const DynamicMode mode = folder.settle({.serve = 0}, true);
  CHECK(mode.dry_run);
  CHECK(mode.replay == folder.run + "/replay.jsonl");
  CHECK(mode.serve == 0);
}

TEST_CASE("Flags may be given again, but not others") {
  const Folder folder;
  folder.settle({.replay = folder.record}, false);
  CHECK(folder.refusal({.replay = folder.record}) == "");
  CHECK(folder.refusal({.dry_run = true}) == "--dry-run: the run was begun without it" + kAnother);
  const std::string other = folder.path + "/other.jsonl";
  std::ofstream(other) << "{\"run\": 2}\n";
  CHECK(folder.refusal({.replay = other}) ==
        "--replay: " + other + " holds other decisions than " + folder.run +
            "/replay.jsonl, with which the run was begun" + kAnother);

  const Folder plain;
  plain.settle({}, false);
  CHECK_FALSE(std::filesystem::exists(plain.run + "/replay.jsonl"));
  CHECK(plain.refusal({}) == "");
  CHECK(plain.refusal({.dry_run = true, .replay = plain.record}) ==
        "--dry-run: the run was begun without it" + kAnother +
            "\n--replay: the run was begun without it" + kAnother);
}

TEST_CASE("A run that was killed before it had written its mode is as good as new") {
  const Folder folder;
  folder.settle({}, false);
  std::filesystem::remove(folder.run + "/mode.json");
  CHECK(folder.settle({.dry_run = true}, true).dry_run);
  CHECK(folder.settle({}, true).dry_run);
}

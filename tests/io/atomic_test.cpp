#include "hone/io/atomic.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/json.h"
#include "support.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

/// Saves a folder that holds one file with `text`.
void save(const std::string& path, const std::string& text,
          AtomicFolder::Existing existing = AtomicFolder::Existing::kReplace) {
  AtomicFolder folder(path, existing);
  fs::create_directory(folder.path() + "/sub");
  std::ofstream(folder.path() + "/sub/file") << text;
  folder.commit({{"step", 7}});
}

size_t entries(const std::string& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

TEST_CASE("a folder appears on commit, with a manifest that verifies") {
  const TemporaryFolder root;
  const std::string path = root.file("new/model");
  {
    AtomicFolder folder(path);
    std::ofstream(folder.path() + "/a") << "text";
    CHECK_FALSE(fs::exists(path));
    folder.commit({{"step", 7}});
  }
  CHECK(read_file(path + "/a") == "text");
  CHECK(entries(root.file("new")) == 1);
  CHECK(verify_manifest(path) == std::nullopt);
  const Json manifest = read_json_file(path + "/manifest.json");
  CHECK(manifest["step"] == 7);
  CHECK(manifest["files"]["a"]["bytes"] == 4);
}

TEST_CASE("what is not committed leaves no trace") {
  const TemporaryFolder root;
  {
    AtomicFolder folder(root.file("model"));
    std::ofstream(folder.path() + "/a") << "text";
    AtomicFolder moved = std::move(folder);
  }
  CHECK(entries(root.path) == 0);
}

TEST_CASE("a folder of ours is replaced, anything else is not") {
  const TemporaryFolder root;
  const std::string path = root.file("model");
  save(path, "old");
  save(path + "/", "new");
  CHECK(read_file(path + "/sub/file") == "new");
  CHECK(entries(root.path) == 1);
  CHECK_THROWS_WITH(save(path, "x", AtomicFolder::Existing::kRefuse), path + ": exists already");

  fs::create_directory(root.file("empty"));
  save(root.file("empty"), "new");
  CHECK(read_file(root.file("empty/sub/file")) == "new");

  fs::create_directory(root.file("home"));
  root.write("home/thesis.tex", "years");
  CHECK_THROWS_WITH(save(root.file("home"), "x"), Catch::Contains("no folder that hone saved"));
  root.write("home/manifest.json", R"({"seed": 1})");  // of a run, or of another program
  CHECK_THROWS_WITH(save(root.file("home"), "x"), Catch::Contains("no folder that hone saved"));
  root.write("plain", "file");
  CHECK_THROWS_WITH(save(root.file("plain"), "x"), Catch::Contains("no folder that hone saved"));
  CHECK(read_file(root.file("home/thesis.tex")) == "years");
}

TEST_CASE("a folder that appears meanwhile is not overwritten") {
  const TemporaryFolder root;
  AtomicFolder folder(root.file("model"));
  fs::create_directory(root.file("model"));
  root.write("model/theirs", "x");
  CHECK_THROWS_WITH(folder.commit(), Catch::Contains("cannot rename"));
  CHECK(read_file(root.file("model/theirs")) == "x");
}

TEST_CASE("a manifest tells what is wrong") {
  const TemporaryFolder root;
  const std::string path = root.file("model");
  const auto reason = [&] { return verify_manifest(path).value_or("fine"); };
  CHECK_THAT(reason(), Catch::Contains("manifest.json: cannot open"));
  save(path, "text");
  CHECK(reason() == "fine");
  root.write("model/sub/file", "texT");
  CHECK(reason() == path + "/sub/file: has changed since it was saved");
  root.write("model/sub/file", "tex");
  CHECK(reason() == path + "/sub/file: has not the size it was saved with");
  fs::remove(path + "/sub/file");
  CHECK_THAT(reason(), Catch::Contains("sub/file"));
  root.write("model/manifest.json", R"({"files": {"sub/file": 3}})");
  CHECK(reason() == path + "/sub/file: its size and hash are not in the manifest");
  root.write("model/manifest.json", "[]");
  CHECK(reason() == path + "/manifest.json: has no object \"files\"");
}

TEST_CASE("links and pipes do not go into a folder") {
  const TemporaryFolder root;
  AtomicFolder folder(root.file("model"));
  fs::create_symlink("/nowhere", folder.path() + "/link");
  CHECK_THROWS_WITH(folder.commit(), Catch::Contains("neither a regular file nor a folder"));
}

TEST_CASE("a file is replaced whole") {
  const TemporaryFolder root;
  const std::string path = root.write("f", "old");
  replace_file_atomically(path, "new");
  CHECK(read_file(path) == "new");
  CHECK(entries(root.path) == 1);
  fs::create_directory(root.file("d"));
  CHECK_THROWS_WITH(replace_file_atomically(root.file("d"), "x"),
                    Catch::Contains("cannot replace"));
  CHECK(entries(root.path) == 2);
}

TEST_CASE("too little space is said before anything is written") {
  const TemporaryFolder root;
  CHECK_NOTHROW(check_free_space(root.path, 1));
  CHECK_THROWS_WITH(check_free_space(root.path, INT64_MAX),
                    Catch::StartsWith(root.path + ": the disk has ") &&
                        Catch::EndsWith(" free, 8589934592.0 GiB are needed"));
}

TEST_CASE("temporaries of dead processes go, other names stay") {
  const TemporaryFolder root;
  for (const char* name : {"a.tmp-12", ".trash-a-3", "a.tmp-", "a.tmp-x", "trash-a-3", "model-7"}) {
    fs::create_directory(root.file(name));
  }
  remove_temporaries(root.path);
  CHECK_FALSE(fs::exists(root.file("a.tmp-12")));
  CHECK_FALSE(fs::exists(root.file(".trash-a-3")));
  CHECK(entries(root.path) == 4);
}

}  // namespace
}  // namespace hone::io

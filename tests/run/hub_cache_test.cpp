#include "hone/run/hub_cache.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/run/model_folder.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::run;
namespace fs = std::filesystem;

namespace {

/// An environment variable for as long as the test runs.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  Setting(const Setting&) = delete;
  ~Setting() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::string refusal(const std::string& model) {
  try {
    run::model_folder(model);
  } catch (const IoError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("A hub's name finds the snapshot that the local cache holds") {
  const TemporaryFolder work;
  const Setting cache("HF_HUB_CACHE", nullptr), old("HUGGINGFACE_HUB_CACHE", nullptr),
      home("HF_HOME", work.path.c_str());
  const fs::path repository = fs::path(work.path) / "hub" / "models--some-org--A_model.v1";
  const std::string snapshot = (repository / "snapshots" / "0123abc").string();
  CHECK(refusal("some-org/A_model.v1") ==
        "some-org/A_model.v1: is no folder, and the Hugging Face cache holds no such model: there "
        "is no " +
            repository.string() +
            "; `hf download some-org/A_model.v1` fetches it (hone downloads nothing)");

  fs::create_directories(repository / "refs");
  std::ofstream(repository / "refs" / "main") << "0123abc";
  CHECK_THAT(refusal("some-org/A_model.v1"), Catch::Contains("holds no snapshot 0123abc"));
  fs::create_directories(snapshot);
  CHECK(run::model_folder("some-org/A_model.v1") == snapshot);
  // Another place, asked first.
  {
    const Setting elsewhere("HF_HUB_CACHE", (work.path + "/none").c_str());
    CHECK_THAT(refusal("some-org/A_model.v1"), Catch::Contains(work.path + "/none/models--"));
  }
  // A reference that is a path leads nowhere; without one the only snapshot is meant.
  std::ofstream(repository / "refs" / "main") << "../../../etc";
  CHECK(run::model_folder("some-org/A_model.v1") == snapshot);
  fs::create_directories(repository / "snapshots" / "other");
  CHECK_THAT(refusal("some-org/A_model.v1"), Catch::Contains("names no revision in refs/main"));
}

TEST_CASE("What is a folder, or written like a path, is taken as it is") {
  const TemporaryFolder work;
  const Setting cache("HF_HUB_CACHE", work.path.c_str());
  CHECK(run::model_folder(work.path) == work.path);
  for (const char* path : {"/absent/model", "./absent/model", "../absent", "a/b/c", "absent/"}) {
    CHECK(run::model_folder(path) == path);
  }
}

TEST_CASE("A recipe whose model is nowhere is refused before anything runs") {
  const TemporaryFolder work;
  const Setting cache("HF_HUB_CACHE", work.path.c_str());
  const auto config = config::read_config<run::Config>(parse_json(
      R"({"about": "x", "model": "org/name", "data": {"train": [{"files": ["none/*.csv"]}]}})",
      "recipe"));
  CHECK_THROWS_WITH(run::check_files(config),
                    Catch::Contains("/model: org/name: is no folder, and the Hugging Face cache") &&
                        Catch::Contains("/data/train/0/files/0: none/*.csv: no file matches"));
}

TEST_CASE("A run's folder stands for its model") {
  const TemporaryFolder folder;
  fs::create_directories(folder.path + "/model");
  CHECK(run::model_folder(folder.path) == folder.path);
  std::ofstream(folder.path + "/model/model.safetensors") << "{}";
  std::ofstream(folder.path + "/model/config.json") << "{}";
  CHECK(run::model_folder(folder.path) == folder.path + "/model");
  CHECK(run::model_folder(folder.path + "/model") == folder.path + "/model");
}

TEST_CASE("An adapter's base is found in the hub's cache, as its own folder is") {
  const TemporaryFolder work;
  const Setting cache("HF_HUB_CACHE", work.path.c_str());
  const fs::path base = fs::path(work.path) / "models--org--base" / "snapshots" / "01";
  const fs::path adapter = fs::path(work.path) / "adapter";
  fs::create_directories(base);
  fs::create_directories(adapter);
  for (const char* file : {"config.json", "model.safetensors"}) std::ofstream(base / file) << "{}";
  const auto names = [&](const std::string& name) {
    std::ofstream(adapter / "adapter_config.json")
        << Json{{"base_model_name_or_path", name}}.dump();
  };
  names("org/base");
  CHECK(run::ModelFolders::find(adapter.string()).model == base.string());
  CHECK(run::ModelFolders::find("org/base").model == base.string());
  CHECK_FALSE(run::ModelFolders::find("org/base").adapter);
  names("org/other");
  CHECK(run::ModelFolders::find(adapter.string(), "org/base").model == base.string());
  CHECK_THROWS_WITH(run::ModelFolders::find(adapter.string()),
                    Catch::Contains("hf download org/other") && Catch::Contains("--base"));
}

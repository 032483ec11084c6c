#include "hone/run/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/files.h"

namespace hone::run {
namespace {

namespace fs = std::filesystem;

/// "org/name", or "name" alone as the hub's oldest models have it.
bool is_hub_name(const std::string& model) {
  const auto fits = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' ||
           c == '/';
  };
  return !model.empty() && std::all_of(model.begin(), model.end(), fits) &&
         std::count(model.begin(), model.end(), '/') <= 1 && model.front() != '.' &&
         model.front() != '/' && model.back() != '/' && model.find("..") == std::string::npos &&
         model.find("--") == std::string::npos;
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string given = setting(name); !given.empty()) return given;
  }
  if (const std::string home = setting("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  const std::string cache = setting("XDG_CACHE_HOME");
  const fs::path base = cache.empty() ? fs::path(setting("HOME")) / ".cache" : fs::path(cache);
  return base / "huggingface" / "hub";
}

/// The commit in refs/main; "" where there is none.
std::string main_commit(const fs::path& repository) {
  std::ifstream file(repository / "refs" / "main");
  std::string commit(64, '\0');
  file.read(commit.data(), static_cast<std::streamsize>(commit.size()));
  commit.resize(static_cast<size_t>(file.gcount()));
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) {
    commit.pop_back();
  }
  const bool fits = std::all_of(commit.begin(), commit.end(),
                                [](unsigned char c) { return std::isalnum(c) != 0; });
  return fits ? commit : "";
}

/// The only snapshot of a repository without refs/main; empty if there are none or several.
fs::path only_snapshot(const fs::path& repository) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(repository / "snapshots", error), end; !error && at != end;
       at.increment(error)) {
    found.push_back(at->path());
  }
  return found.size() == 1 ? found.front() : fs::path();
}

/// `folder`, or the model/ of a run's.
std::string checkpoint_of(const std::string& folder) {
  for (const char* name : {"", "/model"}) {
    const std::string path = folder + name;
    const bool weights = io::path_exists(path + "/model.safetensors") ||
                         io::path_exists(path + "/model.safetensors.index.json");
    if (weights && io::path_exists(path + "/config.json")) return path;
  }
  return folder;  // opening it says what is missing
}

}  // namespace

std::string model_folder(const std::string& model) {
  if (fs::exists(model) || !is_hub_name(model)) return checkpoint_of(model);
  const fs::path cache = hub_cache();
  std::string name = model;
  if (const size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  const fs::path repository = cache / ("models--" + name);
  const std::string commit = main_commit(repository);
  const fs::path snapshot =
      commit.empty() ? only_snapshot(repository) : repository / "snapshots" / commit;
  if (!snapshot.empty() && fs::is_directory(snapshot)) return snapshot.string();
  const std::string download = "`hf download " + model + "` fetches it (hone downloads nothing)";
  if (!fs::is_directory(repository)) {
    throw IoError(model,
                  "is no folder, and the Hugging Face cache holds no such model: there is no " +
                      repository.string() + "; " + download);
  }
  throw IoError(model, "is no folder, and " + repository.string() + " in the Hugging Face cache " +
                           (commit.empty() ? "names no revision in refs/main"
                                           : "holds no snapshot " + commit) +
                           "; " + download + ", or give the folder of a snapshot");
}

}  // namespace hone::run

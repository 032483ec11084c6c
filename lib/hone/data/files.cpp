#include "hone/data/files.h"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "hone/core/error.h"
#include "hone/data/detail/byte_source.h"

namespace hone::data {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    if (path.filename().string().starts_with(".") || !at->is_regular_file(error)) continue;
    if (form_of(path.string()) != FileForm::kUnknown) files.push_back(path.string());
  }
  if (error) throw IoError(folder, "cannot list the folder: " + error.message());
  if (files.empty()) {
    throw IoError(folder, "the folder holds no file ending in " + file_endings());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> files_matching(const std::string& pattern) {
  glob_t matches{};
  const auto stop_at = [](const char*, int error) {
    return error == ENOENT || error == ENOTDIR ? 0 : 1;  // a folder that cannot be read
  };
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT, stop_at, &matches);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner(&matches, ::globfree);
  if (result != 0 && result != GLOB_NOMATCH) throw IoError(pattern, "cannot be searched");
  std::vector<std::string> files;
  for (size_t i = 0; result == 0 && i < matches.gl_pathc; ++i) {
    if (!fs::is_directory(matches.gl_pathv[i])) files.emplace_back(matches.gl_pathv[i]);
  }
  if (files.empty()) throw IoError(pattern, "no file matches the pattern");
  std::sort(files.begin(), files.end());  // by bytes, whatever the locale
  return files;
}

}  // namespace

FileForm form_of(const std::string& path) {
  const std::string ending = fs::path(detail::without_gz(path)).extension();
  if (ending == ".jsonl" || ending == ".json") return FileForm::kJson;
  if (ending == ".txt") return FileForm::kText;
  if (ending == ".csv") return FileForm::kCsv;
  if (ending == ".tsv") return FileForm::kTsv;
  return ending == ".parquet" && !detail::is_gzip_path(path) ? FileForm::kParquet
                                                             : FileForm::kUnknown;
}

std::string file_endings() { return ".jsonl, .json, .csv, .tsv, .txt (each also .gz) or .parquet"; }

bool is_pattern(const std::string& path) {
  return path.find_first_of("*?[") != std::string::npos && !fs::exists(path);
}

std::vector<std::string> list_files(const std::vector<std::string>& files) {
  std::vector<std::string> all;
  bool found = false;
  for (const std::string& file : files) {
    std::vector<std::string> more{file};
    std::error_code error;
    if (fs::is_directory(file, error)) {
      more = files_in(file);
    } else if (is_pattern(file)) {
      more = files_matching(file);
    }
    found = found || more != std::vector<std::string>{file};
    all.insert(all.end(), more.begin(), more.end());
  }
  // Who writes a name twice means it; folders and patterns that overlap are an oversight.
  std::set<std::string> seen;
  for (const std::string& file : all) {
    if (!seen.insert(fs::path(file).lexically_normal().string()).second && found) {
      throw IoError(file, "is named twice by the files of one data set");
    }
  }
  return all;
}

}  // namespace hone::data

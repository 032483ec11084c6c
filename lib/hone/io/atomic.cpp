#include "hone/io/atomic.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/core/version.h"
#include "hone/io/files.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;

/// Paths of the regular files under `folder`, relative to it, sorted; folders too if asked.
std::set<std::string> list(const std::string& folder, bool folders) {
  std::set<std::string> names;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_directory() != folders) continue;
      if (!folders && !entry.is_regular_file()) {
        throw IoError(entry.path(), "is neither a regular file nor a folder");
      }
      names.insert(entry.path().lexically_relative(folder));
    }
  } catch (const fs::filesystem_error& error) {
    throw IoError(folder, "cannot list: " + error.code().message());
  }
  return names;
}

Json describe_files(const std::string& folder) {
  Json files = Json::object();
  for (const std::string& name : list(folder, false)) {
    if (name == kManifestFile) continue;
    const std::string path = folder + "/" + name;
    const std::string hash = hash_file(path);
    files[name] = {{"bytes", fs::file_size(path)}, {"xxh3", hash}};
  }
  return files;
}

/// ".trash-<name>-<pid>" beside `path`.
std::string trash_name(const std::string& path) {
  const fs::path whole(path);
  return whole.parent_path() /
         (".trash-" + whole.filename().string() + "-" + std::to_string(::getpid()));
}

/// rename(2), never over something.
void rename_whole(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
  // File systems without the flag (NFS): rename(2) refuses a folder that is not empty, too.
  if (errno == EINVAL && ::rename(from.c_str(), to.c_str()) == 0) return;
  throw_errno(to, "cannot rename " + from + " to it");
}

/// Puts `from` in the place of `to` in one step where the file system can, else in two. Gives the
/// place where the old folder lies now.
std::string replace_whole(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return from;
  if (errno != EINVAL) throw_errno(to, "cannot replace");
  const std::string trash = trash_name(to);
  rename_whole(to, trash);
  rename_whole(from, to);
  return trash;
}

/// "name.tmp-123" or ".trash-name-123".
bool is_temporary(const std::string& name) {
  const size_t dash = name.find_last_of('-');
  const bool numbered = dash != std::string::npos && dash + 1 < name.size() &&
                        name.find_first_not_of("0123456789", dash + 1) == std::string::npos;
  return numbered && (name.starts_with(".trash-") || name.substr(0, dash).ends_with(".tmp"));
}

void remove_quietly(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) log_warning(path + ": cannot remove: " + error.message());
}

/// The manifest's list of files, or null if there is none: a run's manifest.json is of another
/// kind.
Json files_of_manifest(const std::string& folder) {
  const Json manifest = read_json_file(folder + "/" + kManifestFile);
  return manifest.is_object() ? manifest.value("files", Json()) : Json();
}

/// Whether a folder may be replaced: an empty one, or one that an AtomicFolder wrote.
bool is_ours(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return false;
  if (fs::is_empty(path, error)) return true;
  return path_exists(path + "/" + kManifestFile) && files_of_manifest(path).is_object();
}

}  // namespace

void check_free_space(const std::string& folder, int64_t bytes) {
  struct statvfs status;
  if (::statvfs(folder.c_str(), &status) != 0) throw_errno(folder, "cannot ask for free space");
  const auto free = static_cast<int64_t>(status.f_bavail * status.f_frsize);
  const int64_t needed = bytes + std::min(bytes / 10, INT64_MAX - bytes);
  if (free >= needed) return;
  throw IoError(folder, "the disk has " + format_bytes(free) + " free, " + format_bytes(needed) +
                            " are needed");
}

void replace_file_atomically(const std::string& path, std::string_view bytes) {
  const std::string temporary = temporary_name(path);
  try {
    write_file(temporary, bytes);
    sync_path(temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw_errno(path, "cannot replace");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_path(parent_folder(path));
}

AtomicFolder::AtomicFolder(const std::string& final_path, Existing existing)
    : final_(final_path), existing_(existing) {
  while (final_.size() > 1 && final_.back() == '/') final_.pop_back();
  if (path_exists(final_) && existing == Existing::kRefuse) throw IoError(final_, "exists already");
  if (path_exists(final_) && !is_ours(final_)) {
    throw IoError(final_, std::string("exists and is no folder that hone saved (it has no ") +
                              kManifestFile + " with files); choose another or remove it");
  }
  const std::string temporary = temporary_name(final_);
  std::error_code error;
  fs::remove_all(temporary, error);  // of a dead process that had our id
  fs::create_directories(temporary, error);
  if (error) throw IoError(temporary, "cannot create: " + error.message());
  temporary_ = temporary;
}

AtomicFolder::AtomicFolder(AtomicFolder&& other) noexcept
    : final_(other.final_),
      temporary_(std::exchange(other.temporary_, {})),
      existing_(other.existing_) {}

AtomicFolder::~AtomicFolder() {
  if (!temporary_.empty()) remove_quietly(temporary_);
}

void AtomicFolder::commit(const Json& fields) {
  Json manifest = {{"format", 1}, {"writer", std::string("hone ") + version()}};
  manifest.update(fields);
  manifest["files"] = describe_files(temporary_);
  write_file(temporary_ + "/" + kManifestFile, manifest.dump(2) + "\n");
  for (const bool folders : {false, true}) {
    for (const std::string& name : list(temporary_, folders)) {
      sync_path(temporary_ + "/" + name);
    }
  }
  sync_path(temporary_);
  std::string old;
  if (existing_ == Existing::kReplace && path_exists(final_)) {
    old = replace_whole(temporary_, final_);
  } else {
    rename_whole(temporary_, final_);
  }
  temporary_.clear();
  sync_path(parent_folder(final_));
  if (!old.empty()) remove_quietly(old);
}

std::optional<std::string> verify_manifest(const std::string& folder) {
  try {
    const Json files = files_of_manifest(folder);
    if (!files.is_object()) return folder + "/" + kManifestFile + ": has no object \"files\"";
    for (const auto& [name, file] : files.items()) {
      const std::string path = folder + "/" + name;
      const bool told = file.is_object() && file.contains("bytes") && file.contains("xxh3");
      if (!told) return path + ": its size and hash are not in the manifest";
      if (file["bytes"] != fs::file_size(path))
        return path + ": has not the size it was saved with";
      if (file["xxh3"] != hash_file(path)) return path + ": has changed since it was saved";
    }
    return std::nullopt;
  } catch (const std::exception& error) {
    return error.what();
  }
}

void remove_temporaries(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_temporary(entry.path().filename())) remove_quietly(entry.path());
  }
}

void remove_folder(const std::string& folder) {
  const std::string trash = trash_name(folder);
  std::error_code error;
  fs::rename(folder, trash, error);
  remove_quietly(error ? folder : trash);
}

}  // namespace hone::io

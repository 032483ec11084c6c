/// The one save rule: what is saved appears whole, after it is durable, or not at all.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hone/core/json.h"

namespace hone::io {

/// Throws: IoError naming both figures if the disk of `folder` has less than 1.1 x `bytes` free.
void check_free_space(const std::string& folder, int64_t bytes);

/// Writes `bytes` beside `path` and renames: readers see the old content or the new, even after a
/// power cut. Throws: IoError; the old file is intact then.
void replace_file_atomically(const std::string& path, std::string_view bytes);

/// A folder in the making: fill path(), then commit().
///
///   AtomicFolder folder(out + "/model", AtomicFolder::Existing::kReplace);
///   write_checkpoint(folder.path(), config, tensors);
///   folder.commit();
///
/// Everything lies in "<final>.tmp-<pid>" until commit(); the destructor removes what was not
/// committed. Moves, does not copy.
class AtomicFolder {
 public:
  /// What commit() does where the final folder exists already. Only a folder with a manifest of
  /// files (one that an AtomicFolder wrote) or an empty one is replaced; anything else is refused
  /// at once.
  enum class Existing { kRefuse, kReplace };

  /// Creates the temporary folder, and the parent if need be. Throws: IoError.
  explicit AtomicFolder(const std::string& final_path, Existing existing = Existing::kRefuse);
  AtomicFolder(AtomicFolder&& other) noexcept;
  AtomicFolder& operator=(AtomicFolder&& other) = delete;
  ~AtomicFolder();

  /// Where to write; sub-folders are welcome.
  const std::string& path() const { return temporary_; }
  const std::string& final_path() const { return final_; }

  /// Writes manifest.json: `fields`, then size and XXH3-128 of every file; flushes files, folders
  /// and parent to disk, and renames. After it the folder lies at final_path().
  /// Throws: IoError; the old folder is intact and the temporary one removed then.
  void commit(const Json& fields = Json::object());

 private:
  std::string final_;
  std::string temporary_;  // empty once committed or moved from
  Existing existing_;
};

constexpr const char* kManifestFile = "manifest.json";

/// Why the folder is not complete, or nullopt if its manifest is there and every file in it has
/// the size and hash that it says. Files beyond the manifest do not matter.
std::optional<std::string> verify_manifest(const std::string& folder);

/// Removes what killed processes left in `folder`: "<name>.tmp-<pid>" and ".trash-<name>-<pid>".
/// For the holder of a lock only: those of a running process would go too.
void remove_temporaries(const std::string& folder);

/// Removes a folder such that it is never seen half removed: renames it out of sight first.
void remove_folder(const std::string& folder);

}  // namespace hone::io

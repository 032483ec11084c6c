/// Answers of a back-translation command, kept in a file.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hone::data::detail {

/// Texts and what the command made of them.
///
/// The cache is a file of lines {"key", "text"}, key the hash of command and text, to which lines
/// are only appended, each as it comes. Its lock is held while the command runs, so that of several
/// runs one asks and the others find its answers. A last line that was torn is dropped.
class Paraphrases {
 public:
  Paraphrases() = default;
  /// Runs the command for those of `texts` that the cache lacks (run_text_command).
  /// Throws: IoError naming cache file and line; Error as run_text_command.
  Paraphrases(std::vector<std::string> command, const std::string& cache_path,
              double timeout_seconds, const std::vector<std::string>& texts);

  /// The answer to one of the texts, or null if it was forgotten.
  const std::string* find(std::string_view text) const;
  void forget(std::string_view text) { answers_.erase(key(text)); }
  size_t size() const { return answers_.size(); }
  /// XXH3-128 of all answers.
  std::string hash() const;

 private:
  std::string key(std::string_view text) const;

  std::string command_;
  std::unordered_map<std::string, std::string> answers_;
};

}  // namespace hone::data::detail

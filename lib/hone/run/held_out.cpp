#include "hone/run/held_out.h"

#include <fmt/format.h>

#include <filesystem>

#include "hone/core/hash.h"
#include "hone/data/dataset.h"

namespace hone::run {
namespace {

namespace fs = std::filesystem;

/// How two files are one, or nothing. A file that is not there is reported where it is read.
std::optional<std::string> sameness(const std::string& held_out, const std::string& trained) {
  std::error_code unreadable;
  if (fs::equivalent(held_out, trained, unreadable)) return "is";
  const auto size = fs::file_size(held_out, unreadable);
  if (unreadable || size == 0) return std::nullopt;
  if (size != fs::file_size(trained, unreadable) || unreadable) return std::nullopt;
  if (hash_file(held_out) != hash_file(trained)) return std::nullopt;
  return "has the content of " + trained + ", which is";
}

}  // namespace

std::optional<std::string> trained_on(const std::string& file,
                                      const std::vector<data::DatasetOptions>& train) {
  for (const data::DatasetOptions& set : train) {
    for (const std::string& path : data::source_files(set)) {
      if (const auto same = sameness(file, path)) {
        return fmt::format(
            "{} {} trained on as data set \"{}\": its score would say nothing; split the file and "
            "hold one part out",
            file, *same, set.label());
      }
    }
  }
  return std::nullopt;
}

void check_held_out(const std::vector<data::DatasetOptions>& train,
                    const std::vector<data::DatasetOptions>& held_out, const std::string& where,
                    std::vector<Problem>& problems) {
  for (size_t i = 0; i < held_out.size(); ++i) {
    for (const std::string& file : data::source_files(held_out[i])) {
      auto problem = trained_on(file, train);
      if (!problem) continue;
      problems.push_back({fmt::format("/{}/held_out/{}/files", where, i), *std::move(problem)});
    }
  }
}

}  // namespace hone::run

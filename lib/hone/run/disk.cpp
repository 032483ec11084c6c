#include "hone/run/disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "hone/core/error.h"
#include "hone/core/file.h"

namespace hone::run {
namespace {

/// Checkpoints that lie there at once, at most.
int64_t checkpoints_at_once(const Config& config) {
  const train::TrainOptions& train = config.train;
  const bool goes_back = config.guard.domain && config.guard.action == GuardAction::kStop;
  const int64_t saving = train.save_every > 0 ? train.save_every : train.eval_every;
  if (train.save_every == 0 && !goes_back) return 0;
  const int64_t steps = train.steps + config.vocabulary.embedding_steps;
  const int64_t written = 2 + steps / std::max<int64_t>(1, saving);
  const int64_t kept = train.keep_checkpoints + (goes_back ? 1 : 0);
  return std::min(written, kept + 1);  // rotation comes after the new one is complete
}

}  // namespace

DiskSizes disk_sizes(const Config& config, const model::MemoryPlan& memory, at::ScalarType weights,
                     int64_t snapshots) {
  const bool lora = config.tuning == Tuning::kLora, grown = config.vocabulary.new_tokens > 0;
  const auto element = static_cast<int64_t>(c10::elementSize(weights));
  // Two float32 moments a trained number, and a float32 master of half types.
  const int64_t trained = memory.optimizer_states / (element == 4 ? 8 : 12) * element;
  const int64_t merged = memory.weights - trained + memory.copies;
  const int64_t whole = memory.weights + memory.copies;
  return {.weights = lora ? trained : whole,
          .states = memory.optimizer_states,
          .snapshots = snapshots * (trained + memory.optimizer_states),
          .model = lora ? trained + (grown ? 2 : 1) * merged : whole};
}

DiskNeed disk_need(const Config& config, const DiskSizes& sizes, int64_t there) {
  if (config.train.steps == 0) return {};
  DiskNeed need{.checkpoints = std::max<int64_t>(0, checkpoints_at_once(config) - there)};
  need.bytes = need.checkpoints * sizes.checkpoint() + sizes.model;
  if (need.checkpoints > 0) {
    need.text = fmt::format("{} checkpoint{} of {} and ", need.checkpoints,
                            need.checkpoints == 1 ? "" : "s", format_bytes(sizes.checkpoint()));
  }
  need.text += fmt::format("the model of {}", format_bytes(sizes.model));
  return need;
}

int64_t free_disk_bytes(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path path = fs::absolute(folder, error);
  while (!fs::exists(path, error) && path.has_parent_path() && path != path.parent_path()) {
    path = path.parent_path();
  }
  const fs::space_info space = fs::space(path, error);
  if (error) throw IoError(path.string(), "cannot ask for free space: " + error.message());
  return static_cast<int64_t>(std::min<uintmax_t>(space.available, INT64_MAX));
}

void check_disk(const std::string& folder, const DiskNeed& need) {
  const int64_t free = free_disk_bytes(folder);
  if (need.bytes <= free) return;
  throw IoError(
      folder,
      fmt::format("the run needs {} bytes ({}) for {}; the disk has {} bytes ({}) free: make room, "
                  "choose another --out, or keep fewer checkpoints (train.keep_checkpoints, "
                  "train.save_every)",
                  need.bytes, format_bytes(need.bytes), need.text, free, format_bytes(free)));
}

}  // namespace hone::run

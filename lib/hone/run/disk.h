/// Whether the disk has room for what a run will write.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "hone/model/memory.h"
#include "hone/run/config.h"

namespace hone::run {

/// Bytes of what is written, each once.
struct DiskSizes {
  int64_t weights = 0;    ///< of a checkpoint: the model, or its adapter
  int64_t states = 0;     ///< of the optimiser
  int64_t snapshots = 0;  ///< of controllers, together
  int64_t model = 0;      ///< the result: the model; an adapter, its merged model and own base

  int64_t checkpoint() const { return weights + states + snapshots; }
};

/// By what training needs of memory. `snapshots`: see PlanChanges.
DiskSizes disk_sizes(const Config& config, const model::MemoryPlan& memory, at::ScalarType weights,
                     int64_t snapshots);

struct DiskNeed {
  int64_t checkpoints = 0;  ///< that lie there at once, the one in the making among them
  int64_t bytes = 0;        ///< of them and the result
  std::string text;         ///< "3 checkpoints of 1.2 GiB and the model of 400 MiB"
};

/// What a run of the recipe needs. Checkpoints that `there` are already need nothing more.
DiskNeed disk_need(const Config& config, const DiskSizes& sizes, int64_t there = 0);

/// Free bytes of the disk that `folder` lies on, or will: of its nearest parent that exists.
/// Throws: IoError.
int64_t free_disk_bytes(const std::string& folder);

/// Throws: IoError naming bytes needed and free, and what to change.
void check_disk(const std::string& folder, const DiskNeed& need);

}  // namespace hone::run

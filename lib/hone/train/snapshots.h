/// States of a run that it can go back to.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/optim/optimizer.h"

namespace hone::train {

/// Copies of what an optimiser trains and of its state, each under a name. One takes as much memory
/// as the trained parameters and the optimiser's state together.
class Snapshots {
 public:
  explicit Snapshots(optim::Optimizer& optimizer) : optimizer_(optimizer) {}

  /// Takes one, in place of an older one of that name and in its memory.
  void take(const std::string& name, int64_t step);
  /// Makes parameters and state what they were. Returns the step at which it was taken.
  /// Throws: hone::Error if there is none of that name.
  int64_t restore(const std::string& name);
  /// Takes those anew that the parameters do not fit any more, since they were cut; their names.
  std::vector<std::string> refresh(int64_t step);
  /// The step of the one of that name; -1 if there is none.
  int64_t step(const std::string& name) const;

  /// Writes the tensors into a file, none if there is no snapshot; returns the rest.
  Json save(const std::string& path) const;
  /// Throws: IoError.
  void load(const std::string& path, const Json& state);

 private:
  using Tensors = std::map<std::string, at::Tensor>;
  struct Snapshot {
    int64_t step = 0;
    Tensors parameters, state;
  };

  optim::Optimizer& optimizer_;
  std::map<std::string, Snapshot> snapshots_;
};

}  // namespace hone::train

/// The weights of a checkpoint as numbers, some of them stored quantised (io/quantisation.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hone/io/checkpoint.h"
#include "hone/io/quantisation.h"
#include "hone/io/tensors.h"

namespace hone::io {

/// A view of a checkpoint, which must outlive it.
class QuantisedWeights {
 public:
  /// Throws: IoError listing all problems of quantization_config.
  explicit QuantisedWeights(const Checkpoint& checkpoint);

  /// Sorted, without the scales of others.
  std::vector<std::string> names() const;
  /// How codes and scales hold that weight; nullptr if it is numbers.
  const BlockFormat* format(const std::string& name) const;
  /// The name of its scales; "" if it has none.
  std::string scales(const std::string& name) const;
  /// Of its numbers.
  std::vector<int64_t> shape(const std::string& name) const;
  /// Why a tensor holds no weights, or no integers, for people; nullopt if it does.
  std::optional<std::string> problem(const std::string& name, bool integers = false) const;

  /// Rows [first_row, first_row + out.size(0)) into `out` [rows, ...] of any type and device, a few
  /// MiB at a time: computed in float32 and rounded once. Throws: IoError.
  void read(const std::string& name, int64_t first_row, at::Tensor out) const;

  /// `tensors` as they are written: those that this checkpoint stores quantised (under the name
  /// that `stored_names` has for theirs, or theirs) as codes and scales, the others as `types`
  /// says. One whose numbers are those of the checkpoint, in its own type, is written with the
  /// checkpoint's bytes; any other with scales of its own, in the same format and types. Tensors
  /// that hold codes already are left alone. Compares and computes when it is written, reading the
  /// checkpoint, which must be there until then.
  /// Throws: Error for a weight whose columns groups of FP4 no longer divide.
  std::vector<WrittenTensor> written(const NamedTensors& tensors, const TensorTypes& types,
                                     const std::map<std::string, std::string>& stored_names) const;

 private:
  /// How a weight is stored.
  struct Stored {
    BlockFormat format;
    std::string scales;  ///< their name; "" if there are none
  };
  class Rewritten;

  const Checkpoint& checkpoint_;
  std::map<std::string, Stored> stored_;  ///< by name of the weight
};

}  // namespace hone::io

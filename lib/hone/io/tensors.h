/// Tensors from and to safetensors files.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hone/io/safetensors.h"

namespace hone::io {

at::ScalarType to_scalar_type(Dtype dtype);
/// Throws: c10::ValueError for a type that safetensors has no name for (complex, quantised).
Dtype to_dtype(at::ScalarType type);

/// A tensor of its own memory on the CPU, in the dtype of the file (FP8 included).
/// Throws: IoError if there is none of that name, or the file was cut.
at::Tensor read_tensor(const Safetensors& file, const std::string& name);
/// Rows [begin, end) of it, of at least one dimension.
at::Tensor read_rows(const Safetensors& file, const TensorInfo& info, int64_t begin, int64_t end);

/// Names in the order in which the caller wants them kept; files have an order of their own.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Types in which tensors are written, by name; the others keep their own.
using TensorTypes = std::map<std::string, at::ScalarType>;

/// The type in which a tensor is written. Integers are never written as other numbers.
at::ScalarType written_type(const std::string& name, const at::Tensor& tensor,
                            const TensorTypes& types);

/// A tensor that a file will hold. Its data comes in parts, a few MiB each, so that one that is
/// converted or read from another file needs no second copy.
struct WrittenTensor {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
  /// Hands all data over in order, of that type, contiguous on the CPU.
  std::function<void(const std::function<void(const at::Tensor& part)>& write)> data;

  int64_t bytes() const;
};

/// `tensors` in their own types, or in those that `types` says, rounded to nearest.
std::vector<WrittenTensor> written(const NamedTensors& tensors, const TensorTypes& types);

/// Writes a file as the reference implementation does, to the byte (tests/interop/io_safetensors):
/// tensors by descending Dtype, hence by descending size, then by name; header padded with spaces
/// to 8 bytes; metadata {"format": "pt"} by default.
/// Tensors may lie on any device and have any strides; each is written whole, even if two share
/// storage. Not atomic by itself: write inside an AtomicFolder. Throws: c10::ValueError for
/// duplicate or empty names and unnamed dtypes; IoError.
void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}},
                       const TensorTypes& types = {});
void write_safetensors(const std::string& path, const std::vector<WrittenTensor>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace hone::io

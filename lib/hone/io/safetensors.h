/// Reading the safetensors container. Needs no LibTorch; io/tensors.h makes tensors of it.
///
/// Files may be truncated or hostile: every check runs before memory is spent on data, and data is
/// read with pread, so that a file cut while it is open is an error and never a signal.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hone/io/files.h"

namespace hone::io {

/// Element types by their names in the file, in the order by which the reference implementation
/// sorts tensors (the last first).
enum class Dtype {
  BOOL,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  F8_E8M0,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  F64,
  I64,
  U64
};

/// Bytes of an element.
size_t dtype_size(Dtype dtype);
/// "BF16".
const char* dtype_name(Dtype dtype);
/// Whether weights of that type are numbers as they stand: F64, F32, F16 and BF16. Integers and F8
/// need scales, which no tensor of their own name says.
bool is_weight_dtype(Dtype dtype);
/// "is I8, but weights must be F64, F32, F16 or BF16; ..." for a tensor of another type.
std::string not_weights(Dtype dtype);

struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;  ///< row-major; empty for a scalar; sizes of 0 are legal
  uint64_t begin = 0;          ///< first byte, counted from the data section's start
  uint64_t end = 0;            ///< one past the last byte

  size_t bytes() const { return static_cast<size_t>(end - begin); }
};

/// Bounds of a header, well above the largest published checkpoints (V3: 91,991 tensors in all).
constexpr size_t kMaxHeaderBytes = size_t{16} << 20;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxRank = 64;

/// What a safetensors header says.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;              ///< in the order of their data
  std::map<std::string, std::string> metadata;  ///< "__metadata__"
  uint64_t data_begin = 0;                      ///< offset of the data section in the file
};

/// Checks and reads the 8 + N header bytes at the front of `file` against a file of `file_size`
/// bytes: lengths, JSON without duplicate names, known dtypes, shapes whose product fits, and
/// tensors that tile the data section without hole or overlap. `source` names the file in errors.
/// Throws: IoError naming the tensor.
SafetensorsHeader parse_safetensors_header(std::string_view file, uint64_t file_size,
                                           const std::string& source);

/// An open safetensors file whose header has been checked whole. Moves, does not copy.
class Safetensors {
 public:
  /// Throws: IoError.
  explicit Safetensors(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  /// nullptr if there is none of that name.
  const TensorInfo* find(const std::string& name) const;
  /// Copies the tensor's info.bytes() bytes to `out`. Throws: IoError if the file was cut since.
  void read(const TensorInfo& info, void* out) const { read(info, 0, info.bytes(), out); }
  /// The same of the tensor's bytes [begin, end).
  void read(const TensorInfo& info, size_t begin, size_t end, void* out) const;

 private:
  std::string path_;
  Descriptor file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, size_t> by_name_;
};

}  // namespace hone::io

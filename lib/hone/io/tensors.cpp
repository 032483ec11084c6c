#include "hone/io/tensors.h"

#include <fcntl.h>
#include <torch/types.h>

#include <algorithm>
#include <set>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/files.h"

namespace hone::io {
namespace {

constexpr std::pair<Dtype, at::ScalarType> kTypes[] = {{Dtype::BOOL, at::kBool},
                                                       {Dtype::U8, at::kByte},
                                                       {Dtype::I8, at::kChar},
                                                       {Dtype::F8_E5M2, at::kFloat8_e5m2},
                                                       {Dtype::F8_E4M3, at::kFloat8_e4m3fn},
                                                       {Dtype::F8_E8M0, at::kFloat8_e8m0fnu},
                                                       {Dtype::I16, at::kShort},
                                                       {Dtype::U16, at::kUInt16},
                                                       {Dtype::F16, at::kHalf},
                                                       {Dtype::BF16, at::kBFloat16},
                                                       {Dtype::I32, at::kInt},
                                                       {Dtype::U32, at::kUInt32},
                                                       {Dtype::F32, at::kFloat},
                                                       {Dtype::I64, at::kLong},
                                                       {Dtype::U64, at::kUInt64},
                                                       {Dtype::F64, at::kDouble}};

/// A tensor to write, with its place in the file.
struct Entry {
  const std::string* name;
  const at::Tensor* tensor;
  Dtype dtype;
};

std::vector<Entry> in_file_order(const NamedTensors& tensors) {
  std::set<std::string> seen;
  std::vector<Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    TORCH_CHECK_VALUE(!name.empty() && name != "__metadata__", "write_safetensors: \"", name,
                      "\" cannot name a tensor");
    TORCH_CHECK_VALUE(seen.insert(name).second, "write_safetensors: two tensors named ", name);
    TORCH_CHECK_VALUE(tensor.defined() && tensor.layout() == at::kStrided,
                      "write_safetensors: ", name, " must be a dense tensor");
    entries.push_back({&name, &tensor, to_dtype(tensor.scalar_type())});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : *a.name < *b.name;
  });
  return entries;
}

/// The 8 + N bytes before the data.
std::string header_bytes(const std::vector<Entry>& entries,
                         const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  // Appended, not looked up: an ordered object's operator[] is linear.
  auto& members = static_cast<std::vector<std::pair<const std::string, Json>>&>(
      header.get_ref<Json::object_t&>());
  uint64_t at = 0;
  for (const Entry& entry : entries) {
    const uint64_t end = at + entry.tensor->nbytes();
    members.emplace_back(*entry.name, Json{{"dtype", dtype_name(entry.dtype)},
                                           {"shape", entry.tensor->sizes().vec()},
                                           {"data_offsets", {at, end}}});
    at = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(uint64_t{text.size()} >> (8 * i));
  return bytes + text;
}

}  // namespace

at::ScalarType to_scalar_type(Dtype dtype) {
  for (const auto& [known, type] : kTypes) {
    if (known == dtype) return type;
  }
  TORCH_INTERNAL_ASSERT(false, "every Dtype is in the table");
}

Dtype to_dtype(at::ScalarType type) {
  for (const auto& [dtype, known] : kTypes) {
    if (known == type) return dtype;
  }
  TORCH_CHECK_VALUE(false, "safetensors has no name for the type ", type);
}

at::Tensor read_tensor(const Safetensors& file, const std::string& name) {
  const TensorInfo* info = file.find(name);
  if (!info) throw IoError(file.path(), "holds no tensor \"" + name + "\"");
  at::Tensor tensor = at::empty(info->shape, to_scalar_type(info->dtype));
  file.read(*info, tensor.data_ptr());
  return tensor;
}

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<Entry> entries = in_file_order(tensors);
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC, "create");
  write_all(file, path, header_bytes(entries, metadata));
  for (const Entry& entry : entries) {
    const at::Tensor tensor = entry.tensor->detach().cpu().contiguous();
    write_all(file, path, {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
}

}  // namespace hone::io

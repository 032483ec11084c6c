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

std::vector<Entry> in_file_order(const NamedTensors& tensors, const TensorTypes& types) {
  std::set<std::string> seen;
  std::vector<Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    TORCH_CHECK_VALUE(!name.empty() && name != "__metadata__", "write_safetensors: \"", name,
                      "\" cannot name a tensor");
    TORCH_CHECK_VALUE(seen.insert(name).second, "write_safetensors: two tensors named ", name);
    TORCH_CHECK_VALUE(tensor.defined() && tensor.layout() == at::kStrided,
                      "write_safetensors: ", name, " must be a dense tensor");
    entries.push_back({&name, &tensor, to_dtype(written_type(name, tensor, types))});
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
    const uint64_t end =
        at + static_cast<uint64_t>(entry.tensor->numel()) * dtype_size(entry.dtype);
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

/// A tensor in another type, a part at a time: a whole copy might not fit beside the model.
void write_as(at::ScalarType type, const at::Tensor& tensor, const Descriptor& file,
              const std::string& path) {
  constexpr int64_t kPart = int64_t{1} << 20;
  const at::Tensor flat = tensor.detach().reshape({-1});
  for (int64_t at = 0; at < flat.numel(); at += kPart) {
    const at::Tensor part =
        flat.slice(0, at, std::min(at + kPart, flat.numel())).to(type).cpu().contiguous();
    write_all(file, path, {static_cast<const char*>(part.const_data_ptr()), part.nbytes()});
  }
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

at::ScalarType written_type(const std::string& name, const at::Tensor& tensor,
                            const TensorTypes& types) {
  const auto found = types.find(name);
  return found == types.end() ? tensor.scalar_type() : found->second;
}

int64_t written_bytes(const std::string& name, const at::Tensor& tensor, const TensorTypes& types) {
  return tensor.numel() * static_cast<int64_t>(c10::elementSize(written_type(name, tensor, types)));
}

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const TensorTypes& types) {
  const std::vector<Entry> entries = in_file_order(tensors, types);
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC, "create");
  write_all(file, path, header_bytes(entries, metadata));
  for (const Entry& entry : entries) {
    const at::ScalarType type = to_scalar_type(entry.dtype);
    if (type != entry.tensor->scalar_type()) {
      write_as(type, *entry.tensor, file, path);
      continue;
    }
    const at::Tensor tensor = entry.tensor->detach().cpu().contiguous();
    write_all(file, path, {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
}

}  // namespace hone::io

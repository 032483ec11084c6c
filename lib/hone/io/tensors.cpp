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

/// By descending Dtype, then by name.
std::vector<const WrittenTensor*> in_file_order(const std::vector<WrittenTensor>& tensors) {
  std::set<std::string> seen;
  std::vector<const WrittenTensor*> order;
  for (const WrittenTensor& tensor : tensors) {
    const std::string& name = tensor.name;
    TORCH_CHECK_VALUE(!name.empty() && name != "__metadata__", "write_safetensors: \"", name,
                      "\" cannot name a tensor");
    TORCH_CHECK_VALUE(seen.insert(name).second, "write_safetensors: two tensors named ", name);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const WrittenTensor* a, const WrittenTensor* b) {
    const Dtype x = to_dtype(a->type), y = to_dtype(b->type);
    return x != y ? x > y : a->name < b->name;
  });
  return order;
}

/// The 8 + N bytes before the data.
std::string header_bytes(const std::vector<const WrittenTensor*>& order,
                         const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  // Appended, not looked up: an ordered object's operator[] is linear.
  auto& members = static_cast<std::vector<std::pair<const std::string, Json>>&>(
      header.get_ref<Json::object_t&>());
  int64_t at = 0;
  for (const WrittenTensor* tensor : order) {
    const int64_t end = at + tensor->bytes();
    members.emplace_back(tensor->name, Json{{"dtype", dtype_name(to_dtype(tensor->type))},
                                            {"shape", tensor->shape},
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

at::Tensor read_rows(const Safetensors& file, const TensorInfo& info, int64_t begin, int64_t end) {
  std::vector<int64_t> shape = info.shape;
  const size_t row = shape.at(0) == 0 ? 0 : info.bytes() / static_cast<size_t>(shape[0]);
  shape[0] = end - begin;
  at::Tensor rows = at::empty(shape, to_scalar_type(info.dtype));
  file.read(info, begin * row, end * row, rows.data_ptr());
  return rows;
}

at::ScalarType written_type(const std::string& name, const at::Tensor& tensor,
                            const TensorTypes& types) {
  const auto found = types.find(name);
  const at::ScalarType own = tensor.scalar_type();
  const auto integers = [](at::ScalarType type) { return at::isIntegralType(type, true); };
  return found == types.end() || integers(own) != integers(found->second) ? own : found->second;
}

int64_t WrittenTensor::bytes() const {
  return c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(type));
}

std::vector<WrittenTensor> written(const NamedTensors& tensors, const TensorTypes& types) {
  constexpr int64_t kPart = int64_t{1} << 20;
  std::vector<WrittenTensor> result;
  for (const auto& [name, tensor] : tensors) {
    TORCH_CHECK_VALUE(tensor.defined() && tensor.layout() == at::kStrided,
                      "write_safetensors: ", name, " must be a dense tensor");
    const at::ScalarType type = written_type(name, tensor, types);
    result.push_back({name, type, tensor.sizes().vec(), [type, tensor](const auto& write) {
                        const at::Tensor flat = tensor.detach().reshape({-1});
                        for (int64_t at = 0; at < flat.numel(); at += kPart) {
                          const int64_t end = std::min(at + kPart, flat.numel());
                          write(flat.slice(0, at, end).to(type).cpu().contiguous());
                        }
                      }});
  }
  return result;
}

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const TensorTypes& types) {
  write_safetensors(path, written(tensors, types), metadata);
}

void write_safetensors(const std::string& path, const std::vector<WrittenTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<const WrittenTensor*> order = in_file_order(tensors);
  const std::string header = header_bytes(order, metadata);
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC, "create");
  write_all(file, path, header);
  for (const WrittenTensor* tensor : order) {
    tensor->data([&](const at::Tensor& part) {
      write_all(file, path, {static_cast<const char*>(part.const_data_ptr()), part.nbytes()});
    });
  }
}

}  // namespace hone::io

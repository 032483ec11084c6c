#include "hone/io/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <tuple>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/json.h"

namespace hone::io {
namespace {

struct DtypeEntry {
  Dtype dtype;
  const char* name;
  size_t size;
};

constexpr DtypeEntry kDtypes[] = {
    {Dtype::BOOL, "BOOL", 1},       {Dtype::U8, "U8", 1},           {Dtype::I8, "I8", 1},
    {Dtype::F8_E5M2, "F8_E5M2", 1}, {Dtype::F8_E4M3, "F8_E4M3", 1}, {Dtype::F8_E8M0, "F8_E8M0", 1},
    {Dtype::I16, "I16", 2},         {Dtype::U16, "U16", 2},         {Dtype::F16, "F16", 2},
    {Dtype::BF16, "BF16", 2},       {Dtype::I32, "I32", 4},         {Dtype::U32, "U32", 4},
    {Dtype::F32, "F32", 4},         {Dtype::F64, "F64", 8},         {Dtype::I64, "I64", 8},
    {Dtype::U64, "U64", 8}};

const DtypeEntry& entry(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

/// A name as errors show it: cut, and quoted with its control characters escaped.
std::string quoted(const std::string& name) {
  return Json(name.substr(0, 200)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// Reads one header. All failures carry the source, those of a tensor its name too.
class HeaderParser {
 public:
  HeaderParser(uint64_t data_size, const std::string& source)
      : data_size_(data_size), source_(source) {}

  SafetensorsHeader parse(std::string_view text) {
    // Four values deep: header, tensor, shape.
    const Json json = parse_json(
        text, source_, {.max_bytes = kMaxHeaderBytes, .max_depth = 3, .max_values = 2'000'000});
    if (!json.is_object()) throw IoError(source_, "the safetensors header is not a JSON object");
    SafetensorsHeader header;
    for (const auto& [name, value] : json.items()) {
      if (name == "__metadata__") {
        read_metadata(value, header.metadata);
        continue;
      }
      if (header.tensors.size() == kMaxTensors) {
        throw IoError(source_, "holds more than " + std::to_string(kMaxTensors) + " tensors");
      }
      header.tensors.push_back(read_tensor(name, value));
    }
    check_tiling(header.tensors);
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& reason) const {
    throw IoError(source_, "tensor " + quoted(name) + ": " + reason);
  }

  void read_metadata(const Json& value, std::map<std::string, std::string>& metadata) const {
    if (!value.is_object()) throw IoError(source_, "__metadata__ is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        throw IoError(source_, "__metadata__: " + quoted(key) + " is no string");
      metadata[key] = text.get<std::string>();
    }
  }

  TensorInfo read_tensor(const std::string& name, const Json& value) const {
    if (name.empty()) fail(name, "the name is empty");
    if (!value.is_object()) fail(name, "expected an object with dtype, shape and data_offsets");
    TensorInfo info;
    info.name = name;
    const Json *dtype = nullptr, *shape = nullptr, *offsets = nullptr;
    for (const auto& [key, member] : value.items()) {
      if (key == "dtype") {
        dtype = &member;
      } else if (key == "shape") {
        shape = &member;
      } else if (key == "data_offsets") {
        offsets = &member;
      } else {
        fail(name, "unknown key " + quoted(key) + "; expected dtype, shape and data_offsets");
      }
    }
    if (!dtype || !shape || !offsets) fail(name, "lacks dtype, shape or data_offsets");
    info.dtype = read_dtype(name, *dtype);
    info.shape = read_shape(name, *shape);
    read_offsets(name, *offsets, info);
    check_size(info);
    return info;
  }

  Dtype read_dtype(const std::string& name, const Json& value) const {
    if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      for (const DtypeEntry& known : kDtypes) {
        if (text == known.name) return known.dtype;
      }
    }
    std::string known;
    for (const DtypeEntry& each : kDtypes) known += std::string(" ") + each.name;
    std::string given = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    fail(name, "dtype " + given.substr(0, 60) + " is none of those hone reads:" + known);
  }

  /// An unsigned integer that fits int64_t.
  std::optional<uint64_t> read_size(const Json& value) const {
    if (!value.is_number_unsigned()) return std::nullopt;
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return number;
  }

  std::vector<int64_t> read_shape(const std::string& name, const Json& value) const {
    if (!value.is_array()) fail(name, "shape is not a list");
    if (value.size() > kMaxRank) {
      fail(name, "has " + std::to_string(value.size()) + " dimensions; the limit is " +
                     std::to_string(kMaxRank));
    }
    std::vector<int64_t> shape;
    for (const Json& size : value) {
      const auto number = read_size(size);
      if (!number) fail(name, "shape holds " + size.dump().substr(0, 60) + ", which is no size");
      shape.push_back(static_cast<int64_t>(*number));
    }
    return shape;
  }

  void read_offsets(const std::string& name, const Json& value, TensorInfo& info) const {
    const bool pair = value.is_array() && value.size() == 2;
    const auto begin = pair ? read_size(value[0]) : std::nullopt;
    const auto end = pair ? read_size(value[1]) : std::nullopt;
    if (!begin || !end) fail(name, "data_offsets is not a pair of offsets");
    if (*begin > *end) fail(name, "data_offsets end before they begin");
    if (*end > data_size_) {
      fail(name, "ends at byte " + std::to_string(*end) + " of the data, which holds " +
                     std::to_string(data_size_) + "; is the file cut short?");
    }
    info.begin = *begin;
    info.end = *end;
  }

  void check_size(const TensorInfo& info) const {
    uint64_t bytes = dtype_size(info.dtype);
    // A size of 0 makes the product 0 whatever the others are, so it is looked for first.
    const bool empty = std::find(info.shape.begin(), info.shape.end(), 0) != info.shape.end();
    if (empty) bytes = 0;
    for (int64_t size : info.shape) {
      if (empty) break;
      if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) {
        fail(info.name, "the product of its shape does not fit into 64 bits");
      }
    }
    if (bytes != info.end - info.begin) {
      fail(info.name, "shape and dtype need " + std::to_string(bytes) +
                          " bytes, data_offsets hold " + std::to_string(info.end - info.begin));
    }
  }

  void check_tiling(std::vector<TensorInfo>& tensors) const {
    std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    uint64_t at = 0;
    for (const TensorInfo& info : tensors) {
      if (info.begin != at) {
        fail(info.name, "begins at byte " + std::to_string(info.begin) + " where " +
                            std::to_string(at) + " is due: the data has a hole or an overlap");
      }
      at = info.end;
    }
    if (at != data_size_) {
      throw IoError(source_, "holds " + std::to_string(data_size_) +
                                 " bytes of data, of which tensors cover " + std::to_string(at));
    }
  }

  const uint64_t data_size_;
  const std::string& source_;
};

/// The N at the file's front, checked.
uint64_t header_size(std::string_view front, uint64_t file_size, const std::string& source) {
  if (front.size() < 8 || file_size < 8) {
    throw IoError(source,
                  "holds " + std::to_string(file_size) + " bytes, too few for a safetensors file");
  }
  uint64_t size = 0;
  for (int i = 7; i >= 0; --i) size = size << 8 | static_cast<unsigned char>(front[i]);
  if (size > file_size - 8) {
    throw IoError(source, "its header claims " + std::to_string(size) + " bytes, the file holds " +
                              std::to_string(file_size) +
                              "; it is cut short or no safetensors file");
  }
  if (size > kMaxHeaderBytes) {
    throw IoError(source, "its header claims " + std::to_string(size) + " bytes; the limit is " +
                              std::to_string(kMaxHeaderBytes));
  }
  return size;
}

void read_at(const Descriptor& file, void* out, size_t size, uint64_t offset,
             const std::string& path) {
  auto* next = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = ::pread(file.get(), next, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(path, "cannot read");
    if (got == 0) throw IoError(path, "became shorter while it was read");
    next += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
}

}  // namespace

size_t dtype_size(Dtype dtype) { return entry(dtype).size; }
const char* dtype_name(Dtype dtype) { return entry(dtype).name; }

bool is_weight_dtype(Dtype dtype) {
  return dtype == Dtype::F64 || dtype == Dtype::F32 || dtype == Dtype::F16 || dtype == Dtype::BF16;
}

std::string not_weights(Dtype dtype) {
  return std::string("is ") + dtype_name(dtype) +
         ", but weights must be F64, F32, F16 or BF16; dequantise the checkpoint first";
}

SafetensorsHeader parse_safetensors_header(std::string_view file, uint64_t file_size,
                                           const std::string& source) {
  const uint64_t size = header_size(file, file_size, source);
  if (file.size() < 8 + size) throw IoError(source, "became shorter while it was read");
  const std::string_view text = file.substr(8, size);
  if (text.empty() || text[0] != '{') {
    throw IoError(source, "the safetensors header does not begin with \"{\"");
  }
  SafetensorsHeader header = HeaderParser(file_size - 8 - size, source).parse(text);
  header.data_begin = 8 + size;
  return header;
}

Safetensors::Safetensors(const std::string& path)
    : path_(path), file_(path, O_RDONLY | O_NONBLOCK, "open") {
  struct stat status;
  if (::fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw IoError(path, "is not a regular file");
  }
  const auto file_size = static_cast<uint64_t>(status.st_size);
  std::string front(std::min<uint64_t>(file_size, 8), '\0');
  read_at(file_, front.data(), front.size(), 0, path_);
  front.resize(8 + header_size(front, file_size, path_));
  read_at(file_, front.data() + 8, front.size() - 8, 8, path_);
  header_ = parse_safetensors_header(front, file_size, path_);
  for (size_t i = 0; i < header_.tensors.size(); ++i) by_name_[header_.tensors[i].name] = i;
}

const TensorInfo* Safetensors::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &header_.tensors[found->second];
}

void Safetensors::read(const TensorInfo& info, size_t begin, size_t end, void* out) const {
  read_at(file_, out, end - begin, header_.data_begin + info.begin + begin, path_);
}

}  // namespace hone::io

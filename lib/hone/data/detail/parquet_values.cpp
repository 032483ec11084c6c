#include "hone/data/detail/parquet_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "hone/core/error.h"
#include "hone/core/utf8.h"

namespace hone::data::detail::parquet {
namespace {

constexpr int64_t kMaxDelta = int64_t{1} << 24;  ///< numbers of one delta-coded stream
constexpr size_t kMaxValue = size_t{16} << 20;   ///< bytes of a value put together

[[noreturn]] void damaged(const char* what) {
  throw Error(std::string("is damaged: a page ") + what);
}

/// A view that is read from front to back.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  std::string_view take(uint64_t count) {
    if (count > bytes_.size()) damaged("holds fewer values than it says");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const auto part = number<uint8_t>();
      if (shift < 64) value |= static_cast<uint64_t>(part & 0x7f) << shift;
      if (part < 0x80) return value;
    }
    damaged("holds a number without an end");
  }
  int64_t zigzag() {
    const uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

/// `width` bits from bit `at` on, the least significant first.
uint64_t bits_at(std::string_view bytes, uint64_t at, int width) {
  uint64_t value = 0;
  for (int done = 0; done < width;) {
    const uint64_t bit = at + static_cast<uint64_t>(done);
    const auto byte = static_cast<uint8_t>(bytes[bit / 8]);
    const int shift = static_cast<int>(bit % 8);
    value |= static_cast<uint64_t>(byte >> shift) << done;
    done += 8 - shift;
  }
  return width < 64 ? value & ((uint64_t{1} << width) - 1) : value;
}

Json json_text(const Node& column, std::string_view bytes) {
  if (column.meaning != Meaning::kText && find_invalid_utf8(bytes) != std::string_view::npos) {
    return nullptr;  // an image, say
  }
  return std::string(bytes);
}

Json json_integer(const Node& column, int64_t value) {
  if (column.meaning != Meaning::kUnsigned) return value;
  return column.type == Type::kInt32 ? Json(static_cast<uint32_t>(value))
                                     : Json(static_cast<uint64_t>(value));
}

Json json_double(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// Bytes of a value of the type; 0 where they differ.
size_t width_of(const Node& column) {
  switch (*column.type) {
    case Type::kInt32:
    case Type::kFloat:
      return 4;
    case Type::kInt64:
    case Type::kDouble:
      return 8;
    case Type::kInt96:
      return 12;
    case Type::kFixedBytes:
      return static_cast<size_t>(column.length);
    default:
      return 0;
  }
}

Json json_fixed(const Node& column, std::string_view bytes) {
  Bytes in(bytes);
  switch (*column.type) {
    case Type::kInt32:
      return json_integer(column, in.number<int32_t>());
    case Type::kInt64:
      return json_integer(column, in.number<int64_t>());
    case Type::kFloat:
      return json_double(in.number<float>());
    case Type::kDouble:
      return json_double(in.number<double>());
    default:
      return nullptr;  // times of 96 bits, decimals, half floats: nothing that is trained
  }
}

class PlainValues : public Values {
 public:
  PlainValues(const Node& column, std::string_view bytes) : column_(column), in_(bytes) {}

  Json next() override {
    if (column_.type == Type::kBoolean) {
      if (bit_ == 0) bits_ = in_.number<uint8_t>();
      const bool value = (bits_ >> bit_ & 1) != 0;
      bit_ = (bit_ + 1) % 8;
      return value;
    }
    if (column_.type == Type::kBytes) return json_text(column_, in_.take(in_.number<uint32_t>()));
    return json_fixed(column_, in_.take(width_of(column_)));
  }

 private:
  const Node& column_;
  Bytes in_;
  uint8_t bits_ = 0;
  int bit_ = 0;
};

class DictionaryValues : public Values {
 public:
  DictionaryValues(const std::vector<Json>& dictionary, std::string_view bytes)
      : dictionary_(dictionary) {
    if (bytes.empty()) return;
    const auto width = static_cast<uint8_t>(bytes[0]);
    if (width > 32) damaged("has dictionary indices of more than 32 bits");
    indices_ = RunReader(bytes.substr(1), width);
  }

  Json next() override {
    const uint32_t index = indices_.next();
    if (index >= dictionary_.size()) damaged("names a value that its dictionary lacks");
    return dictionary_[index];
  }

 private:
  const std::vector<Json>& dictionary_;
  RunReader indices_;
};

class RunBooleans : public Values {
 public:
  explicit RunBooleans(std::string_view bytes) {
    Bytes in(bytes);
    const auto size = in.number<uint32_t>();
    runs_ = RunReader(in.take(size), 1);
  }
  Json next() override { return runs_.next() != 0; }

 private:
  RunReader runs_;
};

/// All numbers of a DELTA_BINARY_PACKED stream, which `in` is then behind.
std::vector<int64_t> read_deltas(Bytes& in) {
  const uint64_t block = in.varint(), parts = in.varint(), count = in.varint();
  if (parts == 0 || parts > 512 || block > (1 << 20) || block % parts != 0 ||
      block / parts % 32 != 0 || block == 0) {
    damaged("has blocks of an impossible size");
  }
  if (count > kMaxDelta) damaged("has more numbers than a page may");
  auto value = static_cast<uint64_t>(in.zigzag());
  std::vector<int64_t> numbers;
  if (count > 0) numbers.push_back(static_cast<int64_t>(value));
  const uint64_t part = block / parts;
  while (numbers.size() < count) {
    const auto least = static_cast<uint64_t>(in.zigzag());
    const std::string_view widths = in.take(parts);
    for (uint64_t i = 0; i < parts && numbers.size() < count; ++i) {
      const int width = static_cast<uint8_t>(widths[i]);
      if (width > 64) damaged("has numbers of more than 64 bits");
      const std::string_view packed = in.take(part * static_cast<uint64_t>(width) / 8);
      for (uint64_t j = 0; j < part && numbers.size() < count; ++j) {
        value += least + (width > 0 ? bits_at(packed, j * static_cast<uint64_t>(width), width) : 0);
        numbers.push_back(static_cast<int64_t>(value));
      }
    }
  }
  return numbers;
}

class DeltaIntegers : public Values {
 public:
  DeltaIntegers(const Node& column, std::string_view bytes) : column_(column) {
    Bytes in(bytes);
    numbers_ = read_deltas(in);
  }
  Json next() override {
    if (at_ == numbers_.size()) damaged("holds fewer values than it says");
    const int64_t value = numbers_[at_++];
    return json_integer(column_,
                        column_.type == Type::kInt32 ? static_cast<int32_t>(value) : value);
  }

 private:
  const Node& column_;
  std::vector<int64_t> numbers_;
  size_t at_ = 0;
};

/// DELTA_LENGTH_BYTE_ARRAY, and with `prefixed` DELTA_BYTE_ARRAY.
class DeltaTexts : public Values {
 public:
  DeltaTexts(const Node& column, std::string_view bytes, bool prefixed)
      : column_(column), in_(bytes) {
    if (prefixed) prefixes_ = read_deltas(in_);
    lengths_ = read_deltas(in_);
    if (prefixed && prefixes_.size() != lengths_.size()) damaged("has prefixes without texts");
  }

  Json next() override {
    if (at_ == lengths_.size()) damaged("holds fewer values than it says");
    const int64_t length = lengths_[at_], prefix = prefixes_.empty() ? 0 : prefixes_[at_];
    ++at_;
    if (length < 0 || prefix < 0 || static_cast<uint64_t>(prefix) > last_.size()) {
      damaged("has a text of an impossible length");
    }
    const std::string_view text = in_.take(static_cast<uint64_t>(length));
    if (static_cast<uint64_t>(prefix) + text.size() > kMaxValue) {
      throw Error("has a value of more than " + std::to_string(kMaxValue) + " bytes");
    }
    if (prefixes_.empty()) return json(text);
    last_.resize(static_cast<size_t>(prefix));
    last_ += text;
    return json(last_);
  }

 private:
  Json json(std::string_view text) const {
    return column_.type == Type::kFixedBytes ? Json(nullptr) : json_text(column_, text);
  }

  const Node& column_;
  Bytes in_;
  std::vector<int64_t> prefixes_, lengths_;
  std::string last_;
  size_t at_ = 0;
};

/// Byte k of every value, then byte k + 1 of every value.
class SplitBytes : public Values {
 public:
  SplitBytes(const Node& column, std::string_view bytes)
      : column_(column), bytes_(bytes), width_(width_of(column)) {
    if (width_ == 0) damaged("has split values of no fixed width");
    if (bytes.size() % width_ != 0) damaged("has split values of different lengths");
    count_ = bytes.size() / width_;
    value_.resize(width_);
  }
  Json next() override {
    if (at_ == count_) damaged("holds fewer values than it says");
    for (size_t k = 0; k < width_; ++k) value_[k] = bytes_[k * count_ + at_];
    ++at_;
    return json_fixed(column_, value_);
  }

 private:
  const Node& column_;
  std::string_view bytes_;
  size_t width_, count_ = 0, at_ = 0;
  std::string value_;
};

}  // namespace

int bits_for(uint32_t most) {
  int bits = 0;
  for (; most > 0; most >>= 1) ++bits;
  return bits;
}

void RunReader::begin_run() {
  Bytes in(bytes_.substr(at_));
  const uint64_t header = in.varint();
  packed_ = (header & 1) != 0;
  const uint64_t count = header >> 1;
  if (count == 0) damaged("has a run of nothing");
  if (packed_) {
    if (count > (width_ > 0 ? bytes_.size() + 1 : UINT32_MAX)) {
      damaged("has a run that is longer than it");
    }
    // The last group may be cut where its values end.
    group_ = in.rest().substr(0, count * static_cast<uint64_t>(width_));
    in.take(group_.size());
    left_ = width_ > 0 ? group_.size() * 8 / static_cast<uint64_t>(width_) : count * 8;
    left_ = std::min(left_, count * 8);
    if (left_ == 0) damaged("holds fewer values than it says");
    bit_ = 0;
  } else {
    const std::string_view value = in.take(static_cast<uint64_t>((width_ + 7) / 8));
    value_ = 0;
    for (size_t i = 0; i < value.size(); ++i) {
      value_ |= static_cast<uint32_t>(static_cast<uint8_t>(value[i])) << (8 * i);
    }
    left_ = count;
  }
  at_ = bytes_.size() - in.rest().size();
}

uint32_t RunReader::next() {
  if (left_ == 0) begin_run();
  --left_;
  if (!packed_) return value_;
  if (width_ == 0) return 0;
  const uint64_t bit = bit_;
  bit_ += static_cast<uint64_t>(width_);
  return static_cast<uint32_t>(bits_at(group_, bit, width_));
}

std::vector<Json> read_dictionary(const Node& column, std::string_view bytes, int64_t count) {
  if (column.type == Type::kBoolean) damaged("is a dictionary of booleans");
  PlainValues values(column, bytes);
  std::vector<Json> dictionary;
  for (int64_t i = 0; i < count; ++i) dictionary.push_back(values.next());
  return dictionary;
}

std::unique_ptr<Values> make_values(const Node& column, int64_t encoding, std::string_view bytes,
                                    const std::vector<Json>* dictionary) {
  const bool texts = column.type == Type::kBytes, fixed = column.type == Type::kFixedBytes;
  switch (static_cast<Encoding>(encoding)) {
    case Encoding::kPlain:
      return std::make_unique<PlainValues>(column, bytes);
    case Encoding::kPlainDictionary:
    case Encoding::kRleDictionary:
      if (!dictionary) damaged("names values of a dictionary that is not there");
      return std::make_unique<DictionaryValues>(*dictionary, bytes);
    case Encoding::kRle:
      if (column.type == Type::kBoolean) return std::make_unique<RunBooleans>(bytes);
      break;
    case Encoding::kDeltaInts:
      if (column.type == Type::kInt32 || column.type == Type::kInt64) {
        return std::make_unique<DeltaIntegers>(column, bytes);
      }
      break;
    case Encoding::kDeltaLengths:
      if (texts) return std::make_unique<DeltaTexts>(column, bytes, false);
      break;
    case Encoding::kDeltaStrings:
      if (texts || fixed) return std::make_unique<DeltaTexts>(column, bytes, true);
      break;
    case Encoding::kByteStreamSplit:
      return std::make_unique<SplitBytes>(column, bytes);
    default:
      throw Error("uses the encoding " + std::to_string(encoding) + ", which is not read");
  }
  damaged("has an encoding that does not fit its column");
}

}  // namespace hone::data::detail::parquet

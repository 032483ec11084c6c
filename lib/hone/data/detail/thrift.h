/// Reading Thrift's compact protocol, in which Parquet keeps what it says of itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hone::data::detail {

/// A pass over structs in a text of bytes that may be hostile. Every function throws Error at what
/// is broken; nothing is allocated on the bytes' word.
class ThriftReader {
 public:
  explicit ThriftReader(std::string_view bytes) : bytes_(bytes) {}

  /// Types as they stand in field headers.
  enum Type : uint8_t {
    kStop = 0,
    kTrue = 1,
    kFalse = 2,
    kByte = 3,
    kI16 = 4,
    kI32 = 5,
    kI64 = 6,
    kDouble = 7,
    kBinary = 8,
    kList = 9,
    kSet = 10,
    kMap = 11,
    kStruct = 12,
  };
  struct Field {
    int16_t id = 0;
    Type type = kStop;
  };

  /// Calls take(field) for each field of a struct; what it does not read it must skip().
  template <class Take>
  void read_struct(const Take& take) {
    enter();
    Field field;
    while (next_field(field)) take(field);
    leave();
  }

  /// Calls take() for each element of a list that must hold `type`.
  template <class Take>
  void read_list(const Field& field, Type type, const Take& take) {
    const uint64_t count = list_header(field, type);
    for (uint64_t i = 0; i < count; ++i) take();
  }

  /// An integer of any width. The value of a boolean field is its type.
  int64_t integer(const Field& field);
  std::string_view binary(const Field& field);
  void expect(const Field& field, Type type) const;
  void skip(const Field& field);

  /// Bytes read so far.
  size_t position() const { return at_; }

 private:
  void enter();
  void leave() { --depth_; }
  bool next_field(Field& field);
  uint64_t list_header(const Field& field, Type type);
  uint8_t byte();
  uint64_t varint();
  std::string_view take_binary();
  void skip_value(Type type);
  void skip_bytes(uint64_t count);

  std::string_view bytes_;
  size_t at_ = 0;
  int depth_ = 0;
  int16_t ids_[24] = {};
};

}  // namespace hone::data::detail

#include "hone/data/detail/thrift.h"

#include <iterator>

#include "hone/core/error.h"

namespace hone::data::detail {
namespace {

[[noreturn]] void damaged(const char* what) {
  throw Error(std::string("is damaged: its description ") + what);
}

int64_t from_zigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

}  // namespace

void ThriftReader::enter() {
  if (depth_ + 1 >= static_cast<int>(std::size(ids_))) damaged("is nested too deeply");
  ids_[++depth_] = 0;
}

uint8_t ThriftReader::byte() {
  if (at_ >= bytes_.size()) damaged("is cut off");
  return static_cast<uint8_t>(bytes_[at_++]);
}

uint64_t ThriftReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const uint8_t part = byte();
    if (shift < 64) value |= static_cast<uint64_t>(part & 0x7f) << shift;
    if (part < 0x80) return value;
  }
  damaged("holds a number without an end");
}

bool ThriftReader::next_field(Field& field) {
  const uint8_t header = byte();
  field.type = static_cast<Type>(header & 15);
  if (field.type == kStop) return false;
  if (field.type > kStruct) damaged("holds an unknown type");
  const int64_t id = header >> 4 ? ids_[depth_] + (header >> 4) : from_zigzag(varint());
  if (id < 0 || id > INT16_MAX) damaged("holds a field without a number");
  field.id = ids_[depth_] = static_cast<int16_t>(id);
  return true;
}

uint64_t ThriftReader::list_header(const Field& field, Type type) {
  expect(field, kList);
  const uint8_t header = byte();
  if ((header & 15) != type) damaged("holds a list of an unexpected type");
  const uint64_t count = header >> 4 == 15 ? varint() : header >> 4;
  if (count > bytes_.size() - at_) damaged("holds a list that is longer than it");
  return count;
}

void ThriftReader::expect(const Field& field, Type type) const {
  if (field.type != type) damaged("holds a field of an unexpected type");
}

int64_t ThriftReader::integer(const Field& field) {
  switch (field.type) {
    case kTrue:
      return 1;
    case kFalse:
      return 0;
    case kByte:
      return static_cast<int8_t>(byte());
    case kI16:
    case kI32:
    case kI64:
      return from_zigzag(varint());
    default:
      damaged("holds something else than a number");
  }
}

std::string_view ThriftReader::take_binary() {
  const uint64_t size = varint();
  if (size > bytes_.size() - at_) damaged("holds a text that is longer than it");
  const std::string_view value = bytes_.substr(at_, size);
  at_ += size;
  return value;
}

std::string_view ThriftReader::binary(const Field& field) {
  expect(field, kBinary);
  return take_binary();
}

void ThriftReader::skip_bytes(uint64_t count) {
  if (count > bytes_.size() - at_) damaged("is cut off");
  at_ += count;
}

void ThriftReader::skip(const Field& field) {
  if (field.type != kTrue && field.type != kFalse) skip_value(field.type);
}

/// A value outside a field header, where a boolean takes a byte.
void ThriftReader::skip_value(Type type) {
  switch (type) {
    case kTrue:
    case kFalse:
    case kByte:
      return skip_bytes(1);
    case kI16:
    case kI32:
    case kI64:
      varint();
      return;
    case kDouble:
      return skip_bytes(8);
    case kBinary:
      take_binary();
      return;
    case kList:
    case kSet: {
      const uint8_t header = byte();
      const uint64_t count = header >> 4 == 15 ? varint() : header >> 4;
      if (count > bytes_.size() - at_) damaged("holds a list that is longer than it");
      enter();
      for (uint64_t i = 0; i < count; ++i) skip_value(static_cast<Type>(header & 15));
      return leave();
    }
    case kMap: {
      const uint64_t count = varint();
      if (count == 0) return;
      if (count > bytes_.size() - at_) damaged("holds a map that is longer than it");
      const uint8_t types = byte();
      enter();
      for (uint64_t i = 0; i < count; ++i) {
        skip_value(static_cast<Type>(types >> 4));
        skip_value(static_cast<Type>(types & 15));
      }
      return leave();
    }
    case kStruct:
      return read_struct([this](const Field& field) { skip(field); });
    default:
      damaged("holds an unknown type");
  }
}

}  // namespace hone::data::detail

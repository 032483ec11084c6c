#include "hone/data/detail/parquet_column.h"

#include <zlib.h>

#include <cstring>

#include "hone/core/error.h"
#include "hone/data/detail/parquet_codec.h"

namespace hone::data::detail::parquet {
namespace {

[[noreturn]] void damaged(const char* what) { throw Error(std::string("is damaged: ") + what); }

}  // namespace

ColumnReader::ColumnReader(std::string_view file, const Chunk& chunk, const Node& column,
                           PageBudget& budget)
    : pages_(file.substr(static_cast<size_t>(chunk.begin), static_cast<size_t>(chunk.bytes))),
      chunk_(chunk),
      column_(column),
      budget_(budget),
      left_(chunk.values) {
  if (chunk.type != column.type) damaged("a column is of another type than its schema says");
}

ColumnReader::~ColumnReader() { budget_.left += held_; }

/// Takes the page over; the one before is gone.
std::string_view ColumnReader::keep(std::string page) {
  values_.reset();
  budget_.left += static_cast<int64_t>(page_.size()) - static_cast<int64_t>(page.size());
  held_ += static_cast<int64_t>(page.size()) - static_cast<int64_t>(page_.size());
  page_ = std::move(page);
  if (budget_.left < 0) throw Error("has pages of more than 2 GiB at once");
  return page_;
}

void ColumnReader::begin_data(const PageHeader& header, std::string_view packed) {
  std::string_view page = keep(unpack(chunk_.codec, packed, header.unpacked));
  const auto levels = [&](uint32_t most, int64_t encoding) {
    if (most == 0) return RunReader();
    if (encoding != static_cast<int64_t>(Encoding::kRle)) {
      throw Error("uses the old BIT_PACKED levels, which are not read");
    }
    uint32_t size = 0;
    if (page.size() < 4) damaged("a page is too short for its levels");
    std::memcpy(&size, page.data(), 4);
    if (size > page.size() - 4) damaged("a page's levels are longer than it");
    const RunReader runs(page.substr(4, size), bits_for(most));
    page.remove_prefix(4 + size);
    return runs;
  };
  repetitions_ = levels(column_.max_repetition, header.repetition_level_encoding);
  definitions_ = levels(column_.max_definition, header.level_encoding);
  values_ = make_values(column_, header.encoding, page, has_dictionary_ ? &dictionary_ : nullptr);
}

void ColumnReader::begin_data_v2(const PageHeader& header, std::string_view packed) {
  const int64_t levels = header.repetition_bytes + header.definition_bytes;
  if (header.repetition_bytes < 0 || header.definition_bytes < 0 ||
      levels > static_cast<int64_t>(packed.size()) || levels > header.unpacked) {
    damaged("a page's levels are longer than it");
  }
  std::string page(packed.substr(0, static_cast<size_t>(levels)));
  const std::string_view rest = packed.substr(static_cast<size_t>(levels));
  const int64_t unpacked = header.unpacked - levels;
  // A page of nothing but nulls has no values to pack.
  if (unpacked > 0) page += unpack(header.compressed ? chunk_.codec : Codec::kNone, rest, unpacked);
  const std::string_view kept = keep(std::move(page));
  const auto repetition_bytes = static_cast<size_t>(header.repetition_bytes);
  repetitions_ = RunReader(kept.substr(0, repetition_bytes), bits_for(column_.max_repetition));
  definitions_ =
      RunReader(kept.substr(repetition_bytes, static_cast<size_t>(header.definition_bytes)),
                bits_for(column_.max_definition));
  values_ = make_values(column_, header.encoding, kept.substr(static_cast<size_t>(levels)),
                        has_dictionary_ ? &dictionary_ : nullptr);
}

void ColumnReader::next_page() {
  if (pages_.empty()) damaged("a column ends before its last value");
  const PageHeader header = read_page_header(pages_);
  if (static_cast<uint64_t>(header.packed) > pages_.size() - header.size) {
    damaged("a page is longer than its column");
  }
  const std::string_view packed = pages_.substr(header.size, static_cast<size_t>(header.packed));
  pages_.remove_prefix(header.size + packed.size());
  if (header.checksum) {
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(packed.data()), static_cast<uInt>(packed.size()));
    if (sum != *header.checksum) damaged("a page's checksum is wrong");
  }
  switch (header.kind) {
    case PageKind::kIndex:
      return;
    case PageKind::kDictionary: {
      if (has_dictionary_) damaged("a column has two dictionaries");
      const std::string page = unpack(chunk_.codec, packed, header.unpacked);
      dictionary_ = read_dictionary(column_, page, header.values);
      const auto bytes = static_cast<int64_t>(page.size() + dictionary_.size() * sizeof(Json));
      budget_.left -= bytes;
      held_ += bytes;
      has_dictionary_ = true;
      return;
    }
    case PageKind::kData:
      begin_data(header, packed);
      break;
    case PageKind::kDataV2:
      begin_data_v2(header, packed);
      break;
  }
  page_left_ = header.values;
}

void ColumnReader::read_levels() {
  repetition_ = column_.max_repetition > 0 ? repetitions_.next() : 0;
  definition_ = column_.max_definition > 0 ? definitions_.next() : 0;
  if (repetition_ > column_.max_repetition || definition_ > column_.max_definition) {
    damaged("a page has levels that its column does not have");
  }
  ready_ = true;
}

bool ColumnReader::more() {
  if (ready_) return true;
  if (left_ <= 0) return false;
  while (page_left_ == 0) next_page();
  read_levels();
  return true;
}

Json ColumnReader::take() {
  if (!more()) damaged("a column ends before the others");
  Json value;
  if (definition_ == column_.max_definition) value = values_->next();
  ready_ = false;
  --left_;
  --page_left_;
  return value;
}

}  // namespace hone::data::detail::parquet

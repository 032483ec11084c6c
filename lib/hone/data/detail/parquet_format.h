/// What a Parquet file says of itself: schema, row groups, pages.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone::data::detail::parquet {

enum class Type { kBoolean, kInt32, kInt64, kInt96, kFloat, kDouble, kBytes, kFixedBytes };
enum class Repetition { kRequired, kOptional, kRepeated };
enum class Codec { kNone, kSnappy, kGzip, kLzo, kBrotli, kLz4, kZstd, kLz4Raw };
enum class Encoding {
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kBitPacked = 4,
  kDeltaInts = 5,
  kDeltaLengths = 6,
  kDeltaStrings = 7,
  kRleDictionary = 8,
  kByteStreamSplit = 9,
};

/// What a column's values or a group mean.
enum class Meaning { kNone, kText, kUnsigned, kList, kMap };

/// A column or group of the schema, with what is in it.
struct Node {
  std::string name;
  Repetition repetition = Repetition::kRequired;
  std::optional<Type> type;  ///< of a column; a group has none
  int64_t length = 0;        ///< bytes of kFixedBytes
  Meaning meaning = Meaning::kNone;
  std::vector<Node> children;
  uint32_t max_definition = 0;  ///< definition level at which it is there
  uint32_t max_repetition = 0;
  size_t first_leaf = 0, leaves = 0;  ///< its columns, counted over the file
};

/// Where a column's pages of one row group lie.
struct Chunk {
  Type type = Type::kBoolean;
  Codec codec = Codec::kNone;
  int64_t values = 0;
  int64_t begin = 0, bytes = 0;
};

struct RowGroup {
  std::vector<Chunk> chunks;
  int64_t rows = 0;
};

struct FileMeta {
  Node schema;
  std::vector<RowGroup> groups;
};

/// Reads the description at the end of a file's bytes.
/// Throws: Error with what is broken or not supported ("is damaged: ...", "uses ...").
FileMeta read_file_meta(std::string_view file);

enum class PageKind { kData, kIndex, kDictionary, kDataV2 };

struct PageHeader {
  PageKind kind = PageKind::kData;
  int64_t unpacked = 0, packed = 0;  ///< bytes
  std::optional<uint32_t> checksum;
  int64_t values = 0;
  int64_t encoding = 0;
  int64_t level_encoding = 3;                          ///< of kData, definition levels
  int64_t repetition_level_encoding = 3;               ///< of kData
  int64_t definition_bytes = 0, repetition_bytes = 0;  ///< of kDataV2
  bool compressed = true;                              ///< of kDataV2
  size_t size = 0;                                     ///< of the header itself
};

/// The page header at the beginning of `bytes`. Throws: Error.
PageHeader read_page_header(std::string_view bytes);

}  // namespace hone::data::detail::parquet

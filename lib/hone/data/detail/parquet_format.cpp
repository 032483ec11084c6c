#include "hone/data/detail/parquet_format.h"

#include <cstring>

#include "hone/core/error.h"
#include "hone/data/detail/thrift.h"

namespace hone::data::detail::parquet {
namespace {

using Field = ThriftReader::Field;

constexpr size_t kMaxFooter = size_t{64} << 20;
constexpr size_t kMaxElements = 5000;
constexpr int kMaxDepth = 32;

[[noreturn]] void damaged(const std::string& what) { throw Error("is damaged: " + what); }

/// An entry of the schema's list, in which groups come before what is in them.
struct Element {
  Node node;
  int64_t children = 0;
};

template <class Enum>
Enum checked(int64_t value, Enum last, const char* what) {
  if (value < 0 || value > static_cast<int64_t>(last)) {
    damaged("its description has an unknown " + std::string(what) + ", " + std::to_string(value));
  }
  return static_cast<Enum>(value);
}

Meaning converted_meaning(int64_t type) {
  if (type == 0 || type == 4 || type == 19) return Meaning::kText;  // UTF8, ENUM, JSON
  if (type == 1 || type == 2) return Meaning::kMap;
  if (type == 3) return Meaning::kList;
  return type >= 11 && type <= 14 ? Meaning::kUnsigned : Meaning::kNone;
}

/// The union LogicalType: one field, whose number says which.
Meaning read_logical_type(ThriftReader& in) {
  Meaning meaning = Meaning::kNone;
  in.read_struct([&](const Field& field) {
    if (field.id == 1 || field.id == 4 || field.id == 12) meaning = Meaning::kText;
    if (field.id == 2) meaning = Meaning::kMap;
    if (field.id == 3) meaning = Meaning::kList;
    if (field.id != 10) return in.skip(field);
    in.expect(field, ThriftReader::kStruct);
    in.read_struct([&](const Field& part) {  // INTEGER
      if (part.id == 2 && part.type == ThriftReader::kFalse) meaning = Meaning::kUnsigned;
      in.skip(part);
    });
  });
  return meaning;
}

Element read_element(ThriftReader& in) {
  Element element;
  Node& node = element.node;
  in.read_struct([&](const Field& field) {
    switch (field.id) {
      case 1:
        node.type = checked(in.integer(field), Type::kFixedBytes, "type");
        break;
      case 2:
        node.length = in.integer(field);
        break;
      case 3:
        node.repetition = checked(in.integer(field), Repetition::kRepeated, "repetition");
        break;
      case 4:
        node.name = in.binary(field);
        break;
      case 5:
        element.children = in.integer(field);
        break;
      case 6: {
        const Meaning meaning = converted_meaning(in.integer(field));
        if (node.meaning == Meaning::kNone) node.meaning = meaning;
        break;
      }
      case 10: {
        in.expect(field, ThriftReader::kStruct);
        const Meaning meaning = read_logical_type(in);
        if (meaning != Meaning::kNone) node.meaning = meaning;
        break;
      }
      default:
        in.skip(field);
    }
  });
  return element;
}

/// Puts the list's entries from `at` on into the tree under `node`.
void build(std::vector<Element>& elements, size_t& at, Node& node, int64_t children, int depth,
           size_t& leaf) {
  if (depth > kMaxDepth) damaged("its columns are nested deeper than 32");
  node.first_leaf = leaf;
  if (children < 0 || children > static_cast<int64_t>(elements.size() - at)) {
    damaged("its schema is cut off");
  }
  for (int64_t i = 0; i < children; ++i) {
    if (at >= elements.size()) damaged("its schema is cut off");
    Element& element = elements[at++];
    Node child = std::move(element.node);
    child.max_definition =
        node.max_definition + (child.repetition == Repetition::kRequired ? 0 : 1);
    child.max_repetition =
        node.max_repetition + (child.repetition == Repetition::kRepeated ? 1 : 0);
    if (child.type) {
      if (element.children > 0) damaged("one of its columns is a group too");
      if (*child.type == Type::kFixedBytes && (child.length < 1 || child.length > (1 << 20))) {
        damaged("the values of a column have an impossible length");
      }
      child.first_leaf = leaf++;
      child.leaves = 1;
    } else {
      build(elements, at, child, element.children, depth + 1, leaf);
      if (child.leaves == 0) damaged("one of its groups has no columns");
    }
    node.children.push_back(std::move(child));
  }
  node.leaves = leaf - node.first_leaf;
}

void read_chunk_meta(ThriftReader& in, Chunk& chunk) {
  int64_t data = -1, dictionary = -1;
  in.read_struct([&](const Field& field) {
    switch (field.id) {
      case 1:
        chunk.type = checked(in.integer(field), Type::kFixedBytes, "type");
        break;
      case 4:
        chunk.codec = checked(in.integer(field), Codec::kLz4Raw, "compression");
        break;
      case 5:
        chunk.values = in.integer(field);
        break;
      case 7:
        chunk.bytes = in.integer(field);
        break;
      case 9:
        data = in.integer(field);
        break;
      case 11:
        dictionary = in.integer(field);
        break;
      default:
        in.skip(field);
    }
  });
  chunk.begin = dictionary > 0 && dictionary < data ? dictionary : data;
}

Chunk read_chunk(ThriftReader& in) {
  Chunk chunk{.begin = -1};
  in.read_struct([&](const Field& field) {
    if (field.id == 1) throw Error("keeps columns in other files, which is not supported");
    if (field.id == 8) throw Error("uses encryption, which is not supported");
    if (field.id != 3) return in.skip(field);
    in.expect(field, ThriftReader::kStruct);
    read_chunk_meta(in, chunk);
  });
  return chunk;
}

RowGroup read_group(ThriftReader& in) {
  RowGroup group;
  in.read_struct([&](const Field& field) {
    if (field.id == 1) {
      in.read_list(field, ThriftReader::kStruct, [&] { group.chunks.push_back(read_chunk(in)); });
    } else if (field.id == 3) {
      group.rows = in.integer(field);
    } else {
      in.skip(field);
    }
  });
  return group;
}

void check_groups(const FileMeta& meta, int64_t data_end) {
  for (const RowGroup& group : meta.groups) {
    if (group.rows < 0) damaged("a row group has fewer than no rows");
    if (group.rows == 0) continue;  // its columns lie nowhere
    if (group.chunks.size() != meta.schema.leaves) {
      damaged("a row group has " + std::to_string(group.chunks.size()) + " columns, the schema " +
              std::to_string(meta.schema.leaves));
    }
    for (const Chunk& chunk : group.chunks) {
      const bool inside = chunk.begin >= 4 && chunk.bytes >= 0 && chunk.values >= 0 &&
                          chunk.begin <= data_end && chunk.bytes <= data_end - chunk.begin;
      if (!inside) damaged("a column lies outside of the file; is it cut off?");
    }
  }
}

}  // namespace

FileMeta read_file_meta(std::string_view file) {
  if (file.size() < 12 || !file.ends_with("PAR1")) {
    damaged("it has no end mark; is the file cut off?");
  }
  uint32_t size = 0;
  std::memcpy(&size, file.data() + file.size() - 8, 4);
  if (size > file.size() - 12) damaged("its description is longer than the file");
  if (size > kMaxFooter) throw Error("its description is over the limit of 64 MiB");
  ThriftReader in(file.substr(file.size() - 8 - size, size));

  FileMeta meta;
  std::vector<Element> elements;
  in.read_struct([&](const Field& field) {
    if (field.id == 2) {
      in.read_list(field, ThriftReader::kStruct, [&] {
        if (elements.size() == kMaxElements) throw Error("has more than 5000 columns");
        elements.push_back(read_element(in));
      });
    } else if (field.id == 4) {
      in.read_list(field, ThriftReader::kStruct, [&] { meta.groups.push_back(read_group(in)); });
    } else if (field.id == 8) {
      throw Error("uses encryption, which is not supported");
    } else {
      in.skip(field);
    }
  });
  if (elements.empty()) damaged("it has no schema");
  meta.schema = std::move(elements.front().node);
  size_t at = 1, leaf = 0;
  build(elements, at, meta.schema, elements.front().children, 0, leaf);
  if (at != elements.size()) damaged("its schema does not add up");
  check_groups(meta, static_cast<int64_t>(file.size() - 8 - size));
  return meta;
}

PageHeader read_page_header(std::string_view bytes) {
  PageHeader page;
  ThriftReader in(bytes);
  const auto read_part = [&](const Field& whole, auto take) {
    in.expect(whole, ThriftReader::kStruct);
    in.read_struct(take);
  };
  in.read_struct([&](const Field& field) {
    switch (field.id) {
      case 1:
        page.kind = checked(in.integer(field), PageKind::kDataV2, "kind of page");
        break;
      case 2:
        page.unpacked = in.integer(field);
        break;
      case 3:
        page.packed = in.integer(field);
        break;
      case 4:
        page.checksum = static_cast<uint32_t>(in.integer(field));
        break;
      case 5:
        read_part(field, [&](const Field& part) {
          if (part.id == 1) {
            page.values = in.integer(part);
          } else if (part.id == 2) {
            page.encoding = in.integer(part);
          } else if (part.id == 3) {
            page.level_encoding = in.integer(part);
          } else if (part.id == 4) {
            page.repetition_level_encoding = in.integer(part);
          } else {
            in.skip(part);
          }
        });
        break;
      case 7:
        read_part(field, [&](const Field& part) {
          if (part.id == 1) {
            page.values = in.integer(part);
          } else if (part.id == 2) {
            page.encoding = in.integer(part);
          } else {
            in.skip(part);
          }
        });
        break;
      case 8:
        read_part(field, [&](const Field& part) {
          if (part.id == 1) {
            page.values = in.integer(part);
          } else if (part.id == 4) {
            page.encoding = in.integer(part);
          } else if (part.id == 5) {
            page.definition_bytes = in.integer(part);
          } else if (part.id == 6) {
            page.repetition_bytes = in.integer(part);
          } else if (part.id == 7) {
            page.compressed = in.integer(part) != 0;
          } else {
            in.skip(part);
          }
        });
        break;
      default:
        in.skip(field);
    }
  });
  page.size = in.position();
  if (page.unpacked < 0 || page.packed < 0 || page.values < 0) {
    damaged("a page has a size below 0");
  }
  return page;
}

}  // namespace hone::data::detail::parquet

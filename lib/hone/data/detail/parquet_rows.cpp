#include "hone/data/detail/parquet_rows.h"

#include "hone/core/error.h"
#include "hone/core/file_kind.h"
#include "hone/core/json.h"

namespace hone::data::detail {

using parquet::Meaning;
using parquet::Node;
using parquet::Repetition;

namespace {

constexpr uint64_t kFreeBytes = uint64_t{1} << 30;
constexpr uint64_t kMostRatio = 2000;
constexpr size_t kEntryBytes = 8;  ///< that an entry of a list counts at least

[[noreturn]] void damaged(const char* what) { throw Error(std::string("is damaged: ") + what); }

/// What the repeated field in a LIST holds, by Parquet's rules: the group itself where it has
/// several fields or an old name, else the one field in it.
const Node& element_of(const Node& list, const Node& repeated) {
  const bool itself = repeated.type || repeated.children.size() != 1 || repeated.name == "array" ||
                      repeated.name == list.name + "_tuple";
  return itself ? repeated : repeated.children.front();
}

bool is_list(const Node& node) {
  return !node.type && (node.meaning == Meaning::kList || node.meaning == Meaning::kMap) &&
         node.children.size() == 1 && node.children.front().repetition == Repetition::kRepeated;
}

}  // namespace

ParquetRows::ParquetRows(const std::string& path)
    : path_(path), mapped_(std::make_unique<MappedFile>(path)) {
  open(mapped_->bytes());
}

ParquetRows::ParquetRows(const std::string& path, std::string_view bytes) : path_(path) {
  open(bytes);
}

ParquetRows::~ParquetRows() = default;

void ParquetRows::open(std::string_view bytes) {
  file_ = bytes;
  if (!bytes.starts_with("PAR1")) {
    const std::string kind = binary_kind(bytes);
    throw IoError(path_, "is no Parquet file" + (kind.empty() ? "" : ", but " + kind));
  }
  try {
    meta_ = parquet::read_file_meta(bytes);
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    throw IoError(path_, error.what());
  }
}

/// Opens the next row group that has rows; false at the end.
bool ParquetRows::begin_group() {
  while (group_ < meta_.groups.size()) {
    const parquet::RowGroup& group = meta_.groups[group_++];
    if (group.rows == 0) continue;
    if (meta_.schema.leaves == 0) damaged("it has rows, but no columns");
    columns_.clear();
    std::vector<const Node*> leaves;
    const auto collect = [&](const auto& self, const Node& node) -> void {
      if (node.type) leaves.push_back(&node);
      for (const Node& child : node.children) self(self, child);
    };
    collect(collect, meta_.schema);
    for (size_t i = 0; i < leaves.size(); ++i) {
      columns_.push_back(
          std::make_unique<parquet::ColumnReader>(file_, group.chunks[i], *leaves[i], budget_));
    }
    left_in_group_ = group.rows;
    return true;
  }
  return false;
}

/// Whether the next entry goes on with the list of `node`; all its columns must agree.
bool ParquetRows::goes_on(const Node& node) {
  bool any = false, all = true;
  for (size_t i = 0; i < node.leaves; ++i) {
    parquet::ColumnReader& column = *columns_[node.first_leaf + i];
    const bool same = column.more() && column.repetition() == node.max_repetition;
    any = any || same;
    all = all && same;
  }
  if (any != all) damaged("the columns of a list have different lengths");
  return all;
}

/// Takes the one entry that each column has for something that is not there.
void ParquetRows::pass_over(const Node& node) {
  for (size_t i = 0; i < node.leaves; ++i) {
    parquet::ColumnReader& column = *columns_[node.first_leaf + i];
    if (column.more() && column.definition() >= node.max_definition) {
      damaged("the columns of a group disagree on whether it is there");
    }
    column.take();
  }
}

/// The elements of a repeated field, as many as there are in the place where it stands.
Json ParquetRows::read_repeated(const Node& node, const Node& element) {
  Json list = Json::array();
  if (!first_column(node).more()) damaged("a column ends before the others");
  if (first_column(node).definition() < node.max_definition) {
    pass_over(node);
    return list;
  }
  do {
    Json value = &element == &node ? read_value(node) : read_field(element);
    size_ += kEntryBytes;
    if (size_ <= kMaxRow) list.push_back(std::move(value));
  } while (goes_on(node));
  return list;
}

/// A field with its repetition: null where it is not there, a list where it is repeated.
Json ParquetRows::read_field(const Node& node) {
  if (node.repetition == Repetition::kRepeated) return read_repeated(node, node);
  if (node.repetition == Repetition::kOptional) {
    if (!first_column(node).more()) damaged("a column ends before the others");
    if (first_column(node).definition() < node.max_definition) {
      pass_over(node);
      return nullptr;
    }
  }
  return read_value(node);
}

/// A field that is there.
Json ParquetRows::read_value(const Node& node) {
  if (node.type) {
    Json value = columns_[node.first_leaf]->take();
    if (value.is_string()) size_ += value.get_ref<const std::string&>().size();
    return size_ <= kMaxRow ? value : Json(nullptr);
  }
  if (is_list(node)) {
    const Node& repeated = node.children.front();
    return read_repeated(repeated,
                         node.meaning == Meaning::kMap ? repeated : element_of(node, repeated));
  }
  Json object = Json::object();
  for (const Node& child : node.children) {
    size_ += child.name.size();
    object[child.name] = read_field(child);
  }
  return object;
}

void ParquetRows::check_row_end() {
  for (const auto& column : columns_) {
    const bool at_end = !column->more();
    if (at_end ? left_in_group_ > 0 : column->repetition() != 0 || left_in_group_ == 0) {
      damaged("its columns have different numbers of rows");
    }
  }
}

void ParquetRows::check_growth(size_t bytes) {
  written_ += bytes;
  if (written_ > kFreeBytes && written_ / kMostRatio > file_.size()) {
    throw Error("unpacks to more than 2000 times its size, as no text does; it is not read on");
  }
}

bool ParquetRows::next(RawRow& row) {
  try {
    if (left_in_group_ == 0 && !begin_group()) return false;
    row.line = ++row_;
    row.bad_reason.clear();
    row.bytes.clear();
    size_ = 0;
    const Json object = read_value(meta_.schema);
    --left_in_group_;
    check_row_end();
    if (size_ > kMaxRow) {
      row.bad_reason = too_long(kMaxRow);
      check_growth(kMaxRow);
      return true;
    }
    row.bytes = object.dump();
    if (row.bytes.size() > kMaxRow) row.bad_reason = too_long(kMaxRow);
    check_growth(row.bytes.size());
  } catch (const IoError&) {
    throw;
  } catch (const Json::exception&) {
    row.bad_reason = "a text of it is not valid UTF-8";
  } catch (const Error& error) {
    throw IoError(path_, error.what());
  }
  return true;
}

}  // namespace hone::data::detail

#include "hone/data/options.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "hone/data/detail/columns.h"
#include "hone/data/files.h"

namespace hone::data {
namespace {

using Names = std::vector<std::string>;

/// The columns of a format's rows; all where the format is found out row by row.
Names columns_of(Format format) {
  switch (format) {
    case Format::kText:
      return {"text"};
    case Format::kMessages:
      return {"messages", "tools"};
    case Format::kPromptCompletion:
      return {"prompt", "completion", "tools"};
    case Format::kAlpaca:
      return {"instruction", "input", "output", "system", "history"};
    case Format::kShareGpt:
      return {"conversations", "system", "tools"};
    case Format::kSegments:
      return {"segments"};
    case Format::kTokens:
      return {"input_ids", "labels", "attention_mask"};
    case Format::kAuto:
    case Format::kLlamaFactory:
      break;
  }
  return detail::column_names();
}

void check_columns(const DatasetOptions& options, Validation& v) {
  if (options.format == Format::kLlamaFactory) {
    v.no_effect("columns", "with format llama_factory, whose dataset_info.json names them");
    return;
  }
  const Names known = columns_of(options.format);
  for (const auto& [ours, theirs] : options.columns) {
    const std::string key = "columns/" + pointer_step(ours);
    if (std::find(known.begin(), known.end(), ours) == known.end()) {
      std::string list;
      for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
      v.problem(key, (options.format == Format::kAuto
                          ? std::string("no format has this column")
                          : "format " + enum_name(options.format) + " has no such column") +
                         did_you_mean(ours, known) + "; known: " + list);
    }
    if (theirs.empty()) v.problem(key, "must name a column of the files");
  }
}

}  // namespace

void SplitOptions::validate(Validation& v) const {
  if (share && rows) v.problem("rows", "is given beside share; keep one of them");
  if (!share && !rows) v.problem("share", "or rows must be given: how much is held out");
}

void DatasetOptions::validate(Validation& v) const {
  if (files.empty()) v.problem("files", "must name at least one file");
  for (const std::string& file : files) {
    if (file.empty()) v.problem("files", "must not hold an empty name");
  }
  if (domain.empty()) v.problem("domain", "must not be empty");
  if (!std::isfinite(weight)) v.problem("weight", "must be finite");

  const bool llama_factory = format == Format::kLlamaFactory;
  if (llama_factory && !dataset_info) {
    v.problem("dataset_info", "must name an entry of dataset_info.json with format llama_factory");
  }
  if (llama_factory && files.size() > 1) {
    v.problem("files", "must be the one dataset_info.json with format llama_factory, got " +
                           std::to_string(files.size()) + " files");
  }
  if (!llama_factory && dataset_info) v.no_effect("dataset_info", "unless format is llama_factory");
  check_columns(*this, v);
  if (format != Format::kAuto && format != Format::kText && !llama_factory) {
    v.no_effect("text_unit", "with format " + enum_name(format));
  }
  if (format == Format::kText || format == Format::kSegments || format == Format::kTokens) {
    v.no_effect("chat_form", "with format " + enum_name(format));
    v.no_effect("train_on", "with format " + enum_name(format));
    v.no_effect("tool_form", "with format " + enum_name(format));
  }
}

std::string DatasetOptions::label() const {
  if (!name.empty()) return name;
  if (dataset_info) return *dataset_info;
  if (files.empty()) return "data";
  const std::filesystem::path first(files.front());
  if (first.filename().empty()) return first.parent_path().filename().string();
  if (is_pattern(files.front())) {
    const std::string folder = first.parent_path().filename().string();
    return folder.empty() ? "data" : folder;
  }
  const std::filesystem::path plain = first.extension() == ".gz" ? first.stem() : first;
  return plain.stem().string();
}

}  // namespace hone::data

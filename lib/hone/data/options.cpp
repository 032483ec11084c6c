#include "hone/data/options.h"

#include <cmath>
#include <filesystem>

namespace hone::data {

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
  return files.empty() ? "data" : std::filesystem::path(files.front()).stem().string();
}

}  // namespace hone::data

/// Where in a row its parts lie.
#pragma once
#include <optional>
#include <string>

#include "hone/data/options.h"

namespace hone::data::detail {

/// A key of a row, or nullopt where rows have none.
using Key = std::optional<std::string>;

/// Keys of a message, and the names of the roles; the defaults are ShareGPT's.
struct RoleTags {
  Key role = "from", content = "value";
  Key user = "human", assistant = "gpt", observation = "observation", function = "function_call",
      system = "system";
};

/// Names of a row's keys; the defaults are those of each format as its own project writes it.
struct RowFormat {
  Format format = Format::kAuto;
  Key text = "text";
  Key instruction = "instruction", input = "input", output = "output", history = "history";
  Key messages = "conversations";  ///< of format sharegpt
  Key system = "system", tools = "tools";
  RoleTags tags;               ///< of format sharegpt
  bool columns_given = false;  ///< by a dataset_info.json: other keys of a row do not exist
};

/// What dataset_info.json says of one data set.
struct LlamaFactoryEntry {
  std::string file;  ///< path, beside dataset_info.json
  RowFormat format;
  std::optional<int64_t> num_samples;
};

/// Reads an entry of LLaMA-Factory's dataset_info.json. As there: once `columns` (or `tags`) is
/// present, what it does not name does not exist; without it the default names hold, among which
/// there is no system, history or tools column.
/// Throws: IoError for a broken file; Error for an unknown entry (with the nearest one), unknown
/// keys, preference data and data that is not in a local file.
LlamaFactoryEntry read_dataset_info(const std::string& path, const std::string& entry);

}  // namespace hone::data::detail

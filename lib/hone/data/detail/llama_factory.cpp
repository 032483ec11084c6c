#include <algorithm>
#include <filesystem>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/data/detail/row_format.h"

namespace hone::data::detail {
namespace {

using Names = std::vector<std::string>;

/// One object of the file, whose keys must be known and of the right type.
class Section {
 public:
  Section(const Json& json, std::string where, const Names& known)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail("must be an object");
    for (const auto& [key, value] : json.items()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        fail("unknown key \"" + key + "\"" + did_you_mean(key, known));
      }
    }
  }

  [[noreturn]] void fail(const std::string& reason) const { throw Error(where_ + ": " + reason); }

  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const Json& at(const char* key) const { return json_.at(key); }

  Key text(const char* key) const {
    if (!has(key)) return std::nullopt;
    if (!at(key).is_string()) fail("\"" + std::string(key) + "\" must be a string");
    return at(key).get<std::string>();
  }

  void refuse(const Names& keys, const std::string& why) const {
    for (const std::string& key : keys) {
      if (has(key.c_str())) fail("\"" + key + "\" " + why);
    }
  }

 private:
  const Json& json_;
  std::string where_;
};

RoleTags read_tags(const Json& json, const std::string& where) {
  const Section tags(json, where + " tags",
                     {"role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag",
                      "function_tag", "system_tag"});
  RoleTags read{tags.text("role_tag"),      tags.text("content_tag"),     tags.text("user_tag"),
                tags.text("assistant_tag"), tags.text("observation_tag"), tags.text("function_tag"),
                tags.text("system_tag")};
  if (!read.role || !read.content || !read.user || !read.assistant) {
    tags.fail(
        "once tags are given, role_tag, content_tag, user_tag and assistant_tag must be among "
        "them, as no default holds any more");
  }
  return read;
}

/// Without `columns` the defaults of LLaMA-Factory hold, where these three are null.
void use_default_columns(RowFormat& format) {
  format.system = format.history = format.tools = std::nullopt;
}

void use_columns(RowFormat& format, const Section& columns) {
  columns.refuse({"chosen", "rejected", "kto_tag"}, "is of preference data, which is not trained");
  columns.refuse({"images", "videos", "audios"}, "is not supported: text only");
  format.instruction = columns.text("prompt");
  format.input = columns.text("query");
  format.output = columns.text("response");
  format.history = columns.text("history");
  format.messages = columns.text("messages");
  format.system = columns.text("system");
  format.tools = columns.text("tools");
}

void check_columns(RowFormat& format, const Section& section) {
  if (format.format == Format::kShareGpt && !format.messages) {
    section.fail("columns must name \"messages\", as no default holds once columns are given");
  }
  if (format.format != Format::kAlpaca) return;
  if (!format.instruction) {
    section.fail("columns must name \"prompt\", as no default holds once columns are given");
  }
  if (format.output) return;
  // A prompt without a response is what LLaMA-Factory pre-trains on.
  if (format.input || format.history || format.system) {
    section.fail("columns name no \"response\"; a text data set has nothing but \"prompt\"");
  }
  format.format = Format::kText;
  format.text = format.instruction;
}

}  // namespace

LlamaFactoryEntry read_dataset_info(const std::string& path, const std::string& entry) {
  const Json info = read_json_file(path);
  if (!info.is_object()) throw IoError(path, "must be an object of data sets");
  if (!info.contains(entry)) {
    Names names;
    for (const auto& [name, value] : info.items()) names.push_back(name);
    throw Error(path + ": has no entry \"" + entry + "\"" + did_you_mean(entry, names));
  }
  const std::string where = path + ": " + entry;
  const Section section(info.at(entry), where,
                        {"file_name", "formatting", "columns", "tags", "num_samples", "ranking",
                         "split", "subset", "folder", "hf_hub_url", "ms_hub_url", "om_hub_url",
                         "script_url", "cloud_file_name", "file_sha1"});
  section.refuse({"hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"},
                 "is not read: nothing is downloaded or executed; name a local file_name");
  section.refuse({"subset", "folder"}, "has no meaning for a local file");
  if (section.has("ranking") && section.at("ranking") != false) {
    section.fail("ranking: preference data is not trained");
  }
  if (section.has("split") && section.at("split") != "train") {
    section.fail("split: a local file has only the split \"train\"");
  }

  LlamaFactoryEntry result;
  const Key file = section.text("file_name");
  if (!file) section.fail("file_name is missing");
  result.file = std::filesystem::path(path).parent_path() / *file;

  const std::string formatting = section.text("formatting").value_or("alpaca");
  RowFormat& format = result.format;
  format.columns_given = true;
  format.format = formatting == "alpaca" ? Format::kAlpaca : Format::kShareGpt;
  if (formatting == "openai") {
    // OpenAI's own names, unless tags rename them.
    format.tags = {"role", "content", "user", "assistant", "tool", "function", "system"};
  } else if (formatting != "alpaca" && formatting != "sharegpt") {
    section.fail("formatting must be alpaca, sharegpt or openai, got \"" + formatting + "\"");
  }
  if (section.has("columns")) {
    use_columns(format,
                Section(section.at("columns"), where + " columns",
                        {"prompt", "query", "response", "history", "messages", "system", "tools",
                         "chosen", "rejected", "kto_tag", "images", "videos", "audios"}));
  } else {
    use_default_columns(format);
  }
  if (section.has("tags")) {
    if (formatting == "alpaca") section.fail("tags have no meaning with formatting alpaca");
    format.tags = read_tags(section.at("tags"), where);
  }
  check_columns(format, section);

  if (section.has("num_samples")) {
    const Json& count = section.at("num_samples");
    if (!count.is_number_integer() || count.get<int64_t>() < 1) {
      section.fail("num_samples must be an integer of at least 1");
    }
    result.num_samples = count.get<int64_t>();
  }
  return result;
}

}  // namespace hone::data::detail

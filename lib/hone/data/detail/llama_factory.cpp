#include <filesystem>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/core/names.h"
#include "hone/data/detail/row_format.h"

namespace hone::data::detail {
namespace {

using Names = std::vector<std::string>;

void refuse(Keys& keys, const Names& names, const char* why) {
  for (const std::string& name : names) {
    if (keys.find(name)) keys.problem(name, why);
  }
}

RoleTags read_tags(Keys tags) {
  RoleTags read{tags.text("role_tag"),      tags.text("content_tag"),     tags.text("user_tag"),
                tags.text("assistant_tag"), tags.text("observation_tag"), tags.text("function_tag"),
                tags.text("system_tag")};
  tags.done();
  if (!read.role || !read.content || !read.user || !read.assistant) {
    tags.problem(
        "once tags are given, role_tag, content_tag, user_tag and assistant_tag must be among "
        "them, as no default holds any more");
  }
  return read;
}

/// Without `columns` the defaults of LLaMA-Factory hold, where these three are null.
void use_default_columns(RowFormat& format) {
  format.system = format.history = format.tools = std::nullopt;
}

void use_columns(RowFormat& format, Keys columns) {
  refuse(columns, {"chosen", "rejected", "kto_tag"}, "is of preference data, which is not trained");
  refuse(columns, {"images", "videos", "audios"}, "is not supported: text only");
  format.instruction = columns.text("prompt");
  format.input = columns.text("query");
  format.output = columns.text("response");
  format.history = columns.text("history");
  format.messages = columns.text("messages");
  format.system = columns.text("system");
  format.tools = columns.text("tools");
  columns.done();
}

void check_columns(RowFormat& format, const Keys& section) {
  if (format.format == Format::kShareGpt && !format.messages) {
    section.problem("columns",
                    "must name \"messages\", as no default holds once columns are given");
  }
  if (format.format != Format::kAlpaca) return;
  if (!format.instruction) {
    section.problem("columns", "must name \"prompt\", as no default holds once columns are given");
  }
  if (format.output) return;
  // A prompt without a response is what LLaMA-Factory pre-trains on.
  if (format.input || format.history || format.system) {
    section.problem("columns", "name no \"response\"; a text data set has nothing but \"prompt\"");
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
  Keys section(info.at(entry), path, "/" + pointer_step(entry));
  refuse(section, {"hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"},
         "is not read: nothing is downloaded or executed; name a local file_name");
  refuse(section, {"subset", "folder"}, "has no meaning for a local file");
  section.find("file_sha1");
  if (const Json* ranking = section.find("ranking"); ranking && *ranking != false) {
    section.problem("ranking", "preference data is not trained");
  }
  if (const Json* split = section.find("split"); split && *split != "train") {
    section.problem("split", "a local file has only the split \"train\"");
  }

  LlamaFactoryEntry result;
  result.file = std::filesystem::path(path).parent_path() / section.required_text("file_name");

  const std::string formatting = section.text("formatting").value_or("alpaca");
  RowFormat& format = result.format;
  format.columns_given = true;
  format.format = formatting == "alpaca" ? Format::kAlpaca : Format::kShareGpt;
  if (formatting == "openai") {
    // OpenAI's own names, unless tags rename them.
    format.tags = {"role", "content", "user", "assistant", "tool", "function", "system"};
  } else if (formatting != "alpaca" && formatting != "sharegpt") {
    section.problem("formatting", "must be alpaca, sharegpt or openai, got \"" + formatting + "\"");
  }
  if (const Json* columns = section.find("columns")) {
    use_columns(format, section.below(*columns, "columns"));
  } else {
    use_default_columns(format);
  }
  if (const Json* tags = section.find("tags")) {
    if (formatting == "alpaca") section.problem("tags", "have no meaning with formatting alpaca");
    format.tags = read_tags(section.below(*tags, "tags"));
  }
  result.num_samples = section.integer("num_samples", 1, INT64_MAX);
  section.done();
  check_columns(format, section);
  return result;
}

}  // namespace hone::data::detail

#include "hone/data/detail/untrainable.h"

#include <algorithm>
#include <string>

#include "hone/core/error.h"

namespace hone::data::detail {
namespace {

/// TRL, LLaMA-Factory and axolotl write preferences under these keys.
constexpr const char* kPreference[] = {"chosen", "rejected"};
constexpr const char* kJudged[] = {"label", "kto_tag"};
constexpr const char* kMedia[] = {"images", "image", "videos", "video", "audios", "audio"};

bool is_empty(const Json& value) {
  return value.empty() || (value.is_string() && value.get_ref<const std::string&>().empty());
}

/// Whether rows of the format are answers to something.
bool answers(Format format) {
  return format == Format::kMessages || format == Format::kPromptCompletion ||
         format == Format::kAlpaca || format == Format::kShareGpt;
}

std::string quoted(const char* key) { return "\"" + std::string(key) + "\""; }

}  // namespace

void check_no_preference(const Json& row, Format format) {
  if (format != Format::kAuto && !answers(format)) return;
  for (const char* key : kPreference) {
    if (!row.contains(key)) continue;
    throw Error("is preference data (" + quoted(key) +
                "), which is not trained here: there is no DPO; write the chosen answers as rows "
                "of their own to fine-tune on them");
  }
}

void check_trainable(const Json& row, Format format) {
  if (!answers(format)) return;
  for (const char* key : kJudged) {
    if (!row.contains(key) || !row.at(key).is_boolean()) continue;
    throw Error("is KTO preference data (" + quoted(key) + " " + row.at(key).dump() +
                "), which is not trained here: rejected answers would be learnt; keep the rows "
                "whose " +
                quoted(key) + " is true, and leave the key out of them");
  }
  for (const char* key : kMedia) {
    if (!row.contains(key) || is_empty(row.at(key))) continue;
    throw Error("holds " + quoted(key) + ": only text is trained, and what is written about an " +
                "image, video or audio makes no sense without it; leave such rows out");
  }
}

void check_part(const Json& part) {
  if (!part.is_object() || !part.contains("type") || !part.at("type").is_string()) return;
  const std::string& type = part.at("type").get_ref<const std::string&>();
  for (const char* medium : {"image", "video", "audio"}) {
    if (type.find(medium) == std::string::npos) continue;
    throw Error("\"content\" holds a part of type " + type +
                ": only text is trained; leave such rows out");
  }
}

}  // namespace hone::data::detail

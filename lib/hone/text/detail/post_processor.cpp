#include "hone/text/detail/post_processor.h"

#include <algorithm>

#include "hone/core/keys.h"
#include "hone/text/detail/pre_tokenizer.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

constexpr size_t kMaxSteps = 64;
constexpr size_t kMaxTemplatePieces = 1024;

bool is_trimmed(char32_t c) { return c == byte_to_char(' ') || unicode::is_space(c); }

/// ByteLevel: leaves the spaces at a token's ends out of its offsets.
class TrimOffsets : public PostStep {
 public:
  explicit TrimOffsets(bool add_prefix_space) : add_prefix_space_(add_prefix_space) {}

  void apply(PostState& state) const override {
    if (!state.with_spaces) return;
    std::vector<Offset>& offsets = state.encoding.offsets;
    for (size_t i = 0; i < offsets.size(); ++i) {
      const auto [leading, trailing] = state.spaces[i];
      // One space at the start is the one that was added.
      const bool keep = leading == 1 && add_prefix_space_ && (i == 0 || offsets[i].begin == 0);
      if (!keep) trim_left(state.text, leading, offsets[i]);
      trim_right(state.text, trailing, offsets[i]);
    }
  }

 private:
  static void trim_left(std::string_view text, uint32_t characters, Offset& offset) {
    for (; characters > 0 && offset.begin < offset.end; --characters) {
      offset.begin +=
          static_cast<int64_t>(sequence_length(text[static_cast<size_t>(offset.begin)]));
    }
  }

  static void trim_right(std::string_view text, uint32_t characters, Offset& offset) {
    int64_t end = offset.end;
    for (; characters > 0; --characters) {
      if (end == 0) return;  // more than the text holds: left as it is
      end = previous_start(text.data() + end) - text.data();
    }
    offset.end = std::max(end, offset.begin);
  }

  bool add_prefix_space_;
};

/// TemplateProcessing of one sequence: ids before and behind it.
class Template : public PostStep {
 public:
  Template(std::vector<int64_t> before, std::vector<int64_t> behind)
      : before_(std::move(before)), behind_(std::move(behind)) {}

  void apply(PostState& state) const override {
    if (!state.add_special_tokens) return;
    Encoding& encoding = state.encoding;
    encoding.ids.insert(encoding.ids.begin(), before_.begin(), before_.end());
    encoding.ids.insert(encoding.ids.end(), behind_.begin(), behind_.end());
    if (state.with_offsets) surround(encoding.offsets, {0, 0});
    if (state.with_spaces) surround(state.spaces, {});
  }

 private:
  template <class T>
  void surround(std::vector<T>& list, const T& value) const {
    list.insert(list.begin(), before_.size(), value);
    list.insert(list.end(), behind_.size(), value);
  }

  std::vector<int64_t> before_, behind_;
};

/// The ids of one entry of special_tokens.
std::vector<int64_t> special_ids(Keys keys, const PostProcessor::HasId& has_id) {
  keys.required_text("id");
  std::vector<int64_t> ids;
  for (const Json& id : keys.required_list("ids")) {
    const auto number = integer_in(id, 0, INT32_MAX);
    if (!number || !has_id(*number)) {
      keys.problem("ids", "there is no token with id " + id.dump().substr(0, 40));
    }
    ids.push_back(*number);
  }
  if (keys.required_list("tokens").size() != ids.size())
    keys.problem("tokens", "must be as many as ids");
  keys.done();
  return ids;
}

std::shared_ptr<const PostStep> parse_template(Keys& keys, const PostProcessor::HasId& has_id) {
  const Json& single = keys.required_list("single");
  const Json& specials = keys.required_object("special_tokens");
  keys.required_list("pair");  // for two texts at once, which hone never encodes
  if (single.size() > kMaxTemplatePieces) keys.problem("single", "has more than 1024 pieces");
  std::vector<int64_t> ids[2];
  size_t sequences = 0;
  for (size_t i = 0; i < single.size(); ++i) {
    const std::string step = "single/" + std::to_string(i);
    Keys piece = keys.below(single[i], step);
    const Json* special = piece.find("SpecialToken");
    const Json* sequence = piece.find("Sequence");
    piece.done();
    if (!special == !sequence) piece.problem("expected one of SpecialToken and Sequence");
    Keys inner = keys.below(special ? *special : *sequence, step);
    const std::string id = inner.required_text("id");
    inner.required_integer("type_id", 0, INT32_MAX);
    inner.done();
    if (sequence) {
      if (id != "A") inner.problem("id", "expected \"A\", got \"" + id + "\"");
      ++sequences;
      continue;
    }
    const auto known = specials.find(id);
    if (known == specials.end()) inner.problem("id", "\"" + id + "\" is not in special_tokens");
    const auto more = special_ids(keys.below(*known, "special_tokens/" + id), has_id);
    auto& list = ids[sequences > 0];
    list.insert(list.end(), more.begin(), more.end());
  }
  if (sequences != 1) keys.problem("single", "must hold Sequence A once");
  return std::make_shared<Template>(ids[0], ids[1]);
}

void parse_into(const Json& json, const std::string& source, const std::string& where,
                const PostProcessor::HasId& has_id,
                std::vector<std::shared_ptr<const PostStep>>& steps) {
  Keys keys(json, source, where);
  const std::string type = keys.text("type").value_or("");
  if (steps.size() >= kMaxSteps) keys.problem("more than 64 steps");
  if (type == "Sequence") {
    const Json& list = keys.required_list("processors");
    for (size_t i = 0; i < list.size(); ++i) {
      parse_into(list[i], source, where + "/processors/" + std::to_string(i), has_id, steps);
    }
  } else if (type == "ByteLevel") {
    const bool add_prefix_space = keys.required_flag("add_prefix_space");
    keys.flag("use_regex").value_or(true);  // of the pre-tokenizer of the same name
    if (keys.required_flag("trim_offsets")) {
      steps.push_back(std::make_shared<TrimOffsets>(add_prefix_space));
    }
  } else if (type == "TemplateProcessing") {
    steps.push_back(parse_template(keys, has_id));
  } else {
    keys.problem("unknown post-processor \"" + type + "\"");
  }
  keys.done();
}

}  // namespace

TokenSpaces count_spaces(std::string_view token) {
  const std::u32string chars = to_utf32(token);
  const auto leading = std::find_if_not(chars.begin(), chars.end(), is_trimmed) - chars.begin();
  const auto trailing = std::find_if_not(chars.rbegin(), chars.rend(), is_trimmed) - chars.rbegin();
  return {static_cast<uint32_t>(leading), static_cast<uint32_t>(trailing)};
}

bool PostProcessor::trims() const {
  for (const auto& step : steps_) {
    if (dynamic_cast<const TrimOffsets*>(step.get())) return true;
  }
  return false;
}

PostProcessor PostProcessor::parse(const Json& json, const std::string& source,
                                   const HasId& has_id) {
  PostProcessor result;
  if (!json.is_null()) parse_into(json, source, "/post_processor", has_id, result.steps_);
  return result;
}

}  // namespace hone::text::detail

#include "hone/text/trim_vocabulary.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/utf8.h"

namespace hone::text {
namespace {

/// The two tokens of a merge; nothing for a line that is none.
std::optional<std::pair<std::string, std::string>> merge_pair(const Json& merge) {
  if (!merge.is_string())
    return std::pair(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
  const std::string text = merge.get<std::string>();
  if (text.starts_with("#version")) return std::nullopt;
  const size_t space = text.find(' ');
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

/// Whether a step of that type is in a normalizer or pre-tokenizer.
bool has_step(const Json& json, std::string_view type) {
  if (json.is_object() && json.value("type", Json()) == Json(type)) return true;
  return json.is_structured() && std::any_of(json.begin(), json.end(), [&](const Json& part) {
           return has_step(part, type);
         });
}

/// Calls `change` with each id of the post-processor's templates.
template <class Step, class Change>
void visit_templates(Step& step, const Change& change) {
  if (!step.is_object()) return;
  if (const auto specials = step.find("special_tokens"); specials != step.end()) {
    for (auto& special : *specials) {
      for (auto& id : special.at("ids")) change(id);
    }
  }
  if (const auto steps = step.find("processors"); steps != step.end()) {
    for (auto& inner : *steps) visit_templates(inner, change);
  }
}

/// What of a vocabulary stays.
class Keeping {
 public:
  explicit Keeping(const Tokenizer& tokenizer);

  void keep(int64_t id);
  /// Added tokens, those of templates, the unknown one, and whatever spells single bytes.
  void keep_always();
  /// The parts of which merges make what is kept.
  void keep_parts();

  bool kept(const std::string& token) const {
    const auto found = ids_.find(token);
    return found != ids_.end() && kept_.at(found->second);
  }
  std::vector<int64_t> ids() const;

 private:
  void keep_parts_of(const std::string& token);

  const Tokenizer& tokenizer_;
  std::unordered_map<std::string, int64_t> ids_;   ///< of the model's vocabulary
  std::unordered_map<std::string, size_t> ranks_;  ///< by "left right" with a zero byte between
  std::vector<bool> kept_;                         ///< by id
};

std::string pair_key(std::string_view left, std::string_view right) {
  return std::string(left) + '\0' + std::string(right);
}

Keeping::Keeping(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), kept_(static_cast<size_t>(tokenizer.vocab_size())) {
  const Json& model = tokenizer.json().at("model");
  for (const auto& [token, id] : model.at("vocab").items()) ids_.emplace(token, id.get<int64_t>());
  size_t rank = 0;
  for (const Json& merge : model.at("merges")) {
    if (const auto pair = merge_pair(merge)) ranks_[pair_key(pair->first, pair->second)] = rank++;
  }
}

void Keeping::keep(int64_t id) {
  if (id < 0 || id >= tokenizer_.vocab_size() || !tokenizer_.has_id(id)) {
    throw Error("trim_vocabulary: there is no token with id " + std::to_string(id));
  }
  kept_[static_cast<size_t>(id)] = true;
}

void Keeping::keep_always() {
  const Json& json = tokenizer_.json();
  const Json& model = json.at("model");
  for (const int64_t id : tokenizer_.added_ids()) keep(id);
  if (const auto step = json.find("post_processor"); step != json.end()) {
    visit_templates(*step, [this](const Json& id) { keep(id.get<int64_t>()); });
  }
  const auto keep_token = [this](const std::string& token) {
    if (const auto found = ids_.find(token); found != ids_.end()) keep(found->second);
  };
  if (const Json unknown = model.value("unk_token", Json()); unknown.is_string()) {
    keep_token(unknown.get<std::string>());
  }
  if (has_step(json.value("pre_tokenizer", Json()), "ByteLevel")) {
    for (const auto& [token, id] : ids_) {
      if (to_utf32(token).size() == 1) keep(id);
    }
  } else if (model.value("byte_fallback", false)) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; ++byte) {
      keep_token(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
    }
    keep_token("▁");  // what stands for a space must not fall into bytes
  } else {
    throw Error(tokenizer_.source() +
                ": cannot be trimmed: it is neither byte-level nor has it byte_fallback, so that "
                "letters without a token would be lost");
  }
}

/// The tokens that arise on the way to `token`, if merges make it.
void Keeping::keep_parts_of(const std::string& token) {
  std::vector<std::string> parts;
  for (const char32_t letter : to_utf32(token)) parts.push_back(to_utf8(letter));
  std::vector<std::string> made = parts;
  while (parts.size() > 1) {
    size_t where = 0, best = SIZE_MAX;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto rank = ranks_.find(pair_key(parts[i], parts[i + 1]));
      if (rank == ranks_.end() || rank->second >= best) continue;
      best = rank->second;
      where = i;
    }
    if (best == SIZE_MAX) return;  // an entry that is only found whole (ignore_merges)
    parts[where] += parts[where + 1];
    parts.erase(parts.begin() + static_cast<int64_t>(where) + 1);
    made.push_back(parts[where]);
  }
  for (const std::string& part : made) {
    if (const auto found = ids_.find(part); found != ids_.end()) keep(found->second);
  }
}

void Keeping::keep_parts() {
  std::vector<std::string> tokens;
  for (const auto& [token, id] : ids_) {
    if (kept_[static_cast<size_t>(id)]) tokens.push_back(token);
  }
  for (const std::string& token : tokens) keep_parts_of(token);
}

std::vector<int64_t> Keeping::ids() const {
  std::vector<int64_t> ids;
  for (size_t id = 0; id < kept_.size(); ++id) {
    if (kept_[id]) ids.push_back(static_cast<int64_t>(id));
  }
  return ids;
}

/// The place of an id among those that are kept, as the parser holds numbers.
Json new_id(const Json& id, const std::vector<int64_t>& kept) {
  const auto found = std::lower_bound(kept.begin(), kept.end(), id.get<int64_t>());
  if (found == kept.end() || *found != id.get<int64_t>()) return nullptr;
  return static_cast<uint64_t>(found - kept.begin());
}

Json trimmed_model(const Tokenizer& tokenizer, const Keeping& keeping,
                   const std::vector<int64_t>& kept) {
  Json model = tokenizer.json().at("model");
  Json::object_t vocabulary;
  for (size_t id = 0; id < kept.size(); ++id) {
    // Past the object's own insertion, which looks for the key and so takes linear time.
    static_cast<std::vector<std::pair<const std::string, Json>>&>(vocabulary)
        .emplace_back(tokenizer.id_to_token(kept[id]), static_cast<uint64_t>(id));
  }
  Json merges = Json::array();
  for (Json& merge : model.at("merges")) {
    const auto pair = merge_pair(merge);
    const bool stays = pair && keeping.kept(pair->first) && keeping.kept(pair->second) &&
                       keeping.kept(pair->first + pair->second);
    if (stays) merges.push_back(std::move(merge));
  }
  model["vocab"] = std::move(vocabulary);
  model["merges"] = std::move(merges);
  return model;
}

/// Whether a value at that key is an id, or a list of them.
bool names_ids(const std::string& key) {
  return key.ends_with("token_id") || key.ends_with("token_ids") || key == "suppress_tokens" ||
         key == "begin_suppress_tokens";
}

}  // namespace

TrimmedTokenizer trim_vocabulary(const Tokenizer& tokenizer, const std::vector<int64_t>& used) {
  Keeping keeping(tokenizer);
  for (const int64_t id : used) keeping.keep(id);
  keeping.keep_always();
  keeping.keep_parts();
  std::vector<int64_t> kept = keeping.ids();
  Json json = tokenizer.json();
  json["model"] = trimmed_model(tokenizer, keeping, kept);
  for (Json& token : json["added_tokens"]) token["id"] = new_id(token.at("id"), kept);
  if (const auto step = json.find("post_processor"); step != json.end()) {
    visit_templates(*step, [&kept](Json& id) { id = new_id(id, kept); });
  }
  return {Tokenizer::from_json(std::move(json), tokenizer.source()), std::move(kept)};
}

Json renumber_tokens(Json config, const std::vector<int64_t>& kept) {
  for (const auto& [key, value] : config.items()) {
    if (key == "added_tokens_decoder") {
      Json renamed = Json::object();
      for (const auto& [id, token] : value.items()) {
        const Json now = new_id(std::stoll(id), kept);
        if (!now.is_null()) renamed[now.dump()] = token;
      }
      value = std::move(renamed);
    } else if (names_ids(key) && value.is_number_integer()) {
      value = new_id(value, kept);
    } else if (names_ids(key) && value.is_array()) {
      Json ids = Json::array();
      for (const Json& id : value) {
        if (Json now = new_id(id, kept); !now.is_null()) ids.push_back(std::move(now));
      }
      value = std::move(ids);
    }
  }
  return config;
}

std::vector<int64_t> named_tokens(const Json& config) {
  std::vector<int64_t> ids;
  for (const auto& [key, value] : config.items()) {
    if (!names_ids(key)) continue;
    for (const Json& id : value.is_array() ? value : Json::array({value})) {
      if (id.is_number_integer()) ids.push_back(id.get<int64_t>());
    }
  }
  return ids;
}

}  // namespace hone::text

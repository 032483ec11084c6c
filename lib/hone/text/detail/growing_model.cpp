#include "hone/text/detail/growing_model.h"

#include <algorithm>

#include "hone/core/json.h"
#include "hone/text/detail/scripts.h"

namespace hone::text::detail {
namespace {

/// Whether a token is <0x00> ... <0xFF>.
bool is_byte_token(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') &&
         token.find_first_not_of("0123456789ABCDEF", 3) == 5;
}

bool flag(const Json& model, const char* key) {
  const auto found = model.find(key);
  return found != model.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

GrowingModel::GrowingModel(const Tokenizer& old, std::optional<int64_t> first_free_id)
    : first_id_(std::max(old.vocab_size(), first_free_id.value_or(0))), next_id_(first_id_) {
  const Json& model = old.json().at("model");
  for (const auto& [token, id] : model.at("vocab").items()) {
    vocabulary_.emplace(token, id.get<int64_t>());
    names_.emplace(id.get<int64_t>(), token);
  }
  for (const int64_t id : old.added_ids()) contents_.emplace(old.id_to_token(id), id);
  for (const Json& merge : model.at("merges")) {
    std::string left, right;
    if (merge.is_string()) {
      const std::string text = merge.get<std::string>();
      if (text.starts_with("#version")) continue;
      left = text.substr(0, text.find(' '));
      right = text.substr(left.size() + 1);
      merges_are_strings_ = true;
    } else {
      left = merge.at(0).get<std::string>();
      right = merge.at(1).get<std::string>();
    }
    merges_.add(vocabulary_.at(left), vocabulary_.at(right), vocabulary_.at(left + right));
  }
  ignore_merges_ = flag(model, "ignore_merges");
  byte_fallback_ = flag(model, "byte_fallback");
  if (const auto unk = model.find("unk_token"); unk != model.end() && unk->is_string()) {
    unknown_id_ = old.token_to_id(unk->get<std::string>());
  }
}

std::string GrowingModel::obstacle(const TermTokens& found) const {
  if (!found.one_piece) return "it is more than one pre-token piece";
  if (ignore_merges_ && !found.whole_piece) return "it is only part of a pre-token piece";
  std::string joined;
  for (const int64_t id : found.ids) {
    if (!names_.contains(id)) return "it holds an added token";
    if (byte_fallback_ && is_byte_token(name(id))) return "it is spelled with byte tokens";
    if (id == unknown_id_) return "it holds characters that the vocabulary lacks";
    if (merges_are_strings_ && name(id).find(' ') != std::string::npos) {
      return "a merge written as \"left right\" cannot hold its space";
    }
    joined += name(id);
    if (contents_.contains(joined)) {
      return "its start is spelled like the added token \"" + joined + "\"";
    }
  }
  return "";
}

GrowingModel::Entry GrowingModel::entry(std::string_view term, const TermTokens& found,
                                        GrowthMode mode) const {
  if (mode == GrowthMode::kAddedTokens) return {TermWay::kAddedToken, "the mode is added_tokens"};
  std::string why = obstacle(found);
  if (!why.empty()) return {TermWay::kAddedToken, std::move(why)};
  // A whole piece of a script without spaces is a clause: the term stands inside it.
  const bool whole = ignore_merges_ && !holds_unspaced(term);
  return {whole ? TermWay::kWholePiece : TermWay::kMerges, ""};
}

int64_t GrowingModel::add_token(const std::string& token) {
  vocabulary_.emplace(token, next_id_);
  names_.emplace(next_id_, token);
  return next_id_++;
}

int64_t GrowingModel::add_added_token(const std::string& content) {
  contents_.emplace(content, next_id_);
  return add_token(content);
}

GrowingModel::Join GrowingModel::join(int64_t left, int64_t right) {
  const std::string token = name(left) + name(right);
  const auto known = vocabulary_.find(token);
  const bool is_new = known == vocabulary_.end();
  const int64_t id = is_new ? add_token(token) : known->second;
  merges_.add(left, right, id);
  return {id, is_new};
}

}  // namespace hone::text::detail

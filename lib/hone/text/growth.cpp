#include "hone/text/growth.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/text/detail/growth_context.h"
#include "hone/text/detail/unicode.h"

namespace hone::text {
namespace {

using namespace detail;

constexpr size_t kMaxTermBytes = 4096;  // as AddedTokens reads

std::string quote(std::string_view text) { return "\"" + std::string(text) + "\""; }

/// Whether a token is <0x00> ... <0xFF>.
bool is_byte_token(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') &&
         token.find_first_not_of("0123456789ABCDEF", 3) == 5;
}

/// Appends to a vocabulary without the look-up for the token, which takes linear time.
void append_entry(Json& vocabulary, const std::string& token, int64_t id) {
  static_cast<std::vector<std::pair<const std::string, Json>>&>(
      vocabulary.get_ref<Json::object_t&>())
      .emplace_back(token, static_cast<uint64_t>(id));  // as the parser holds it
}

/// The merges of a model, old and new, and what they make of a row of tokens.
class Merges {
 public:
  /// Behind all others; of two for one pair the later stands, as in `tokenizers`.
  void add(int64_t left, int64_t right, int64_t id) {
    merges_[key(left, right)] = {next_rank_++, id};
  }

  /// Merges neighbours, lowest rank first, leftmost of equals.
  void apply(std::vector<int64_t>& tokens) const {
    while (true) {
      const Merge* best = nullptr;
      size_t where = 0;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        const auto found = merges_.find(key(tokens[i], tokens[i + 1]));
        if (found == merges_.end() || (best && best->rank <= found->second.rank)) continue;
        best = &found->second;
        where = i;
      }
      if (!best) return;
      tokens[where] = best->id;
      tokens.erase(tokens.begin() + static_cast<int64_t>(where) + 1);
    }
  }

 private:
  struct Merge {
    size_t rank;
    int64_t id;
  };
  static uint64_t key(int64_t left, int64_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
  }
  std::unordered_map<uint64_t, Merge> merges_;
  size_t next_rank_ = 0;
};

class Grower {
 public:
  Grower(const Tokenizer& old, const GrowOptions& options);

  void add(const std::string& term);
  /// Throws: Error with every refusal.
  GrowthResult finish();

 private:
  void refuse(std::string_view term, const std::string& why) {
    refusals_ += "\n  " + quote(term) + ": " + why;
  }
  /// Why the tokens cannot be merged into one; "" if they can.
  std::string obstacle(const TermTokens& found) const;
  bool fits(size_t tokens) const {
    return !options_.max_new_tokens ||
           added_.size() + tokens <= static_cast<size_t>(*options_.max_new_tokens);
  }
  void add_merges(const std::string& term, const TermTokens& found);
  void add_whole_piece(const std::string& term, const TermTokens& found);
  void add_added_token(const std::string& term, const TermTokens& found);
  void join(int64_t left, int64_t right);
  void add_token(const std::string& token, GrownToken::Kind kind, std::vector<int64_t> pieces);

  bool is_new(int64_t id) const { return id >= first_id_; }
  GrownToken& grown(int64_t id) { return added_[static_cast<size_t>(id - first_id_)]; }
  const std::string& name(int64_t id) const { return names_.at(id); }

  Json grown_json() const;
  void fill_texts(const Tokenizer& tokenizer);

  const Tokenizer& old_;
  const GrowOptions& options_;
  const TermContext context_;
  std::unordered_map<std::string, int64_t> vocabulary_;  ///< of the model, new tokens included
  std::unordered_map<int64_t, std::string> names_;
  std::map<std::string, int64_t> contents_;  ///< of added tokens, old and new
  Merges merges_;
  std::vector<std::pair<int64_t, int64_t>> new_merges_;
  bool ignore_merges_ = false, byte_fallback_ = false, merges_are_strings_ = false;
  std::optional<int64_t> unknown_id_;
  int64_t first_id_;
  std::unordered_set<std::string> seen_;
  std::vector<std::string> unchanged_, left_out_;
  std::vector<GrownToken> added_;
  std::string refusals_;
};

Grower::Grower(const Tokenizer& old, const GrowOptions& options)
    : old_(old),
      options_(options),
      context_(old),
      first_id_(std::max(old.vocab_size(), options.first_free_id.value_or(0))) {
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
  const auto flag = [&model](const char* key) {
    const auto found = model.find(key);
    return found != model.end() && found->is_boolean() && found->get<bool>();
  };
  ignore_merges_ = flag("ignore_merges");
  byte_fallback_ = flag("byte_fallback");
  if (const auto unk = model.find("unk_token"); unk != model.end() && unk->is_string()) {
    unknown_id_ = old.token_to_id(unk->get<std::string>());
  }
}

std::string Grower::obstacle(const TermTokens& found) const {
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
      return "its start is spelled like the added token " + quote(joined);
    }
  }
  return "";
}

void Grower::add(const std::string& term) {
  if (!seen_.insert(term).second) return;
  if (term.empty()) return refuse(term, "is empty");
  if (!is_valid_utf8(term)) return refuse(term, "is not UTF-8");
  if (term.size() > kMaxTermBytes) {
    return refuse(term.substr(0, 40) + "...", "is longer than 4096 bytes");
  }
  const TermTokens found = context_.look(term);
  if (found.ids.size() == 1 && found.ids.front() != unknown_id_) {
    unchanged_.push_back(term);
    return;
  }
  std::string why = "the mode is added_tokens";
  if (options_.mode != GrowthMode::kAddedTokens) why = obstacle(found);
  if (!why.empty() && options_.mode == GrowthMode::kMerges) {
    return refuse(
        term, "cannot become one token by merges: " + why + "; mode auto makes it an added token");
  }
  if (!why.empty()) {
    add_added_token(term, found);
  } else if (ignore_merges_) {
    add_whole_piece(term, found);
  } else {
    add_merges(term, found);
  }
}

void Grower::add_token(const std::string& token, GrownToken::Kind kind,
                       std::vector<int64_t> pieces) {
  const int64_t id = first_id_ + static_cast<int64_t>(added_.size());
  added_.push_back({token, "", id, kind, std::move(pieces)});
  vocabulary_.emplace(token, id);
  names_.emplace(id, token);
}

/// Adds the merge of two tokens, and the token that it makes where there is none yet.
void Grower::join(int64_t left, int64_t right) {
  const std::string token = name(left) + name(right);
  if (!vocabulary_.contains(token)) {
    std::vector<int64_t> pieces;
    for (const int64_t part : {left, right}) {
      const std::vector<int64_t> own = is_new(part) ? grown(part).pieces : std::vector{part};
      pieces.insert(pieces.end(), own.begin(), own.end());
    }
    add_token(token, GrownToken::Kind::kIntermediate, std::move(pieces));
  }
  merges_.add(left, right, vocabulary_.at(token));
  new_merges_.emplace_back(left, right);
}

void Grower::add_merges(const std::string& term, const TermTokens& found) {
  std::vector<int64_t> tokens = found.ids;
  merges_.apply(tokens);  // earlier terms may have joined some of them
  if (!fits(tokens.size() - 1)) return left_out_.push_back(term);
  while (tokens.size() > 1) {
    join(tokens[0], tokens[1]);
    merges_.apply(tokens);
  }
  if (!is_new(tokens.front())) return;
  grown(tokens.front()).kind = GrownToken::Kind::kTerm;
  grown(tokens.front()).pieces = found.ids;
}

void Grower::add_whole_piece(const std::string& term, const TermTokens& found) {
  if (!fits(1)) return left_out_.push_back(term);
  std::string token;
  for (const int64_t id : found.ids) token += name(id);
  add_token(token, GrownToken::Kind::kTerm, found.ids);
}

void Grower::add_added_token(const std::string& term, const TermTokens& found) {
  if (!fits(1)) return left_out_.push_back(term);
  if (vocabulary_.contains(term)) {
    return refuse(term, "is spelled like a token that stands for other text");
  }
  add_token(term, GrownToken::Kind::kAddedToken, found.ids);
  contents_.emplace(term, added_.back().id);
}

Json Grower::grown_json() const {
  Json json = old_.json();
  Json& vocabulary = json["model"]["vocab"];
  for (const auto& [content, id] : contents_) {
    if (!vocabulary_.contains(content)) append_entry(vocabulary, content, id);
  }
  for (const GrownToken& token : added_) {
    append_entry(vocabulary, token.token, token.id);
    if (token.kind != GrownToken::Kind::kAddedToken) continue;
    json["added_tokens"].push_back({{"id", static_cast<uint64_t>(token.id)},
                                    {"content", token.token},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", false}});
  }
  Json& merges = json["model"]["merges"];
  for (const auto& [left, right] : new_merges_) {
    if (merges_are_strings_) {
      merges.push_back(name(left) + " " + name(right));
    } else {
      merges.push_back(Json::array({name(left), name(right)}));
    }
  }
  return json;
}

/// Fills in what new tokens decode to, and refuses added tokens that would not be themselves.
void Grower::fill_texts(const Tokenizer& tokenizer) {
  const TermContext context(tokenizer);
  for (GrownToken& token : added_) {
    token.text = context.decode(token.id);
    if (token.kind == GrownToken::Kind::kAddedToken && token.text != token.token) {
      refuse(token.token, "would decode to " + quote(token.text) +
                              " as an added token, as the decoder takes its letters for bytes");
    }
  }
}

GrowthResult Grower::finish() {
  Tokenizer tokenizer = old_;
  if (!added_.empty() || !new_merges_.empty()) {
    tokenizer = Tokenizer::from_json(grown_json(), old_.source());
    fill_texts(tokenizer);
  }
  if (!refusals_.empty()) {
    throw Error("vocabulary growth: these terms cannot be added:" + refusals_);
  }
  return {std::move(tokenizer), std::move(added_), std::move(unchanged_), std::move(left_out_)};
}

}  // namespace

GrowthResult grow(const Tokenizer& tokenizer, const std::vector<std::string>& terms,
                  const GrowOptions& options) {
  Grower grower(tokenizer, options);
  for (const std::string& term : terms) grower.add(term);
  return grower.finish();
}

}  // namespace hone::text

#include "hone/text/growth.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/growing_model.h"
#include "hone/text/detail/growth_context.h"

namespace hone::text {
namespace {

using namespace detail;

constexpr size_t kMaxTermBytes = 4096;  // as AddedTokens reads

std::string quote(std::string_view text) { return "\"" + std::string(text) + "\""; }

/// Appends to a vocabulary without the look-up for the token, which takes linear time.
void append_entry(Json& vocabulary, const std::string& token, int64_t id) {
  static_cast<std::vector<std::pair<const std::string, Json>>&>(
      vocabulary.get_ref<Json::object_t&>())
      .emplace_back(token, static_cast<uint64_t>(id));  // as the parser holds it
}

class Grower {
 public:
  Grower(const Tokenizer& old, const GrowOptions& options)
      : old_(old), options_(options), context_(old), model_(old, options.first_free_id) {}

  void add(const std::string& term);
  /// Throws: Error with every refusal.
  GrowthResult finish();

 private:
  void refuse(std::string_view term, const std::string& why) {
    refusals_ += "\n  " + quote(term) + ": " + why;
  }
  bool fits(size_t tokens) const {
    return terms_ < options_.max_terms.value_or(INT64_MAX) &&
           std::ssize(added_) + static_cast<int64_t>(tokens) <=
               options_.max_new_tokens.value_or(INT64_MAX);
  }
  void add_merges(const std::string& term, const TermTokens& found);
  void add_whole_piece(const std::string& term, const TermTokens& found);
  void add_added_token(const std::string& term, const TermTokens& found);
  void join(int64_t left, int64_t right);
  void note(int64_t id, GrownToken::Kind kind, std::vector<int64_t> pieces);

  GrownToken& grown(int64_t id) { return added_[static_cast<size_t>(id - model_.first_id())]; }

  Json grown_json() const;
  void fill_texts(const Tokenizer& tokenizer);

  const Tokenizer& old_;
  const GrowOptions& options_;
  const TermContext context_;
  GrowingModel model_;
  std::vector<std::pair<int64_t, int64_t>> new_merges_;
  std::unordered_set<std::string> seen_;
  std::vector<std::string> unchanged_, left_out_;
  std::vector<GrownToken> added_;
  int64_t terms_ = 0;  ///< that were not left out
  std::string refusals_;
};

void Grower::add(const std::string& term) {
  if (!seen_.insert(term).second) return;
  if (term.empty()) return refuse(term, "is empty");
  if (!is_utf8(term)) return refuse(term, "is not UTF-8");
  if (term.size() > kMaxTermBytes) {
    return refuse(term.substr(0, 40) + "...", "is longer than 4096 bytes");
  }
  const TermTokens found = context_.look(term);
  if (found.ids.size() == 1 && found.ids.front() != model_.unknown_id()) {
    unchanged_.push_back(term);
    return;
  }
  const GrowingModel::Entry entry = model_.entry(term, found, options_.mode);
  switch (entry.way) {
    case TermWay::kMerges:
      return add_merges(term, found);
    case TermWay::kWholePiece:
      return add_whole_piece(term, found);
    case TermWay::kAddedToken:
      if (options_.mode != GrowthMode::kMerges) return add_added_token(term, found);
      refuse(term, "cannot become one token by merges: " + entry.why +
                       "; mode auto makes it an added token");
  }
}

void Grower::note(int64_t id, GrownToken::Kind kind, std::vector<int64_t> pieces) {
  added_.push_back({model_.name(id), "", id, kind, std::move(pieces)});
}

/// Adds the merge of two tokens, and the token that it makes where there is none yet.
void Grower::join(int64_t left, int64_t right) {
  const GrowingModel::Join made = model_.join(left, right);
  if (made.is_new) {
    std::vector<int64_t> pieces;
    for (const int64_t part : {left, right}) {
      const std::vector<int64_t> own = model_.is_new(part) ? grown(part).pieces : std::vector{part};
      pieces.insert(pieces.end(), own.begin(), own.end());
    }
    note(made.id, GrownToken::Kind::kIntermediate, std::move(pieces));
  }
  new_merges_.emplace_back(left, right);
}

void Grower::add_merges(const std::string& term, const TermTokens& found) {
  std::vector<int64_t> tokens = found.ids;
  model_.merges().apply(tokens);  // earlier terms may have joined some of them
  if (!fits(tokens.size() - 1)) return left_out_.push_back(term);
  ++terms_;
  while (tokens.size() > 1) {
    join(tokens[0], tokens[1]);
    model_.merges().apply(tokens);
  }
  if (!model_.is_new(tokens.front())) return;
  grown(tokens.front()).kind = GrownToken::Kind::kTerm;
  grown(tokens.front()).pieces = found.ids;
}

void Grower::add_whole_piece(const std::string& term, const TermTokens& found) {
  if (!fits(1)) return left_out_.push_back(term);
  ++terms_;
  std::string token;
  for (const int64_t id : found.ids) token += model_.name(id);
  if (model_.contains(token)) {  // as the start of a term with letters that need no spaces
    grown(model_.id(token)).kind = GrownToken::Kind::kTerm;
    return;
  }
  note(model_.add_token(token), GrownToken::Kind::kTerm, found.ids);
}

void Grower::add_added_token(const std::string& term, const TermTokens& found) {
  if (!fits(1)) return left_out_.push_back(term);
  ++terms_;
  if (model_.contains(term)) {
    return refuse(term, "is spelled like a token that stands for other text");
  }
  note(model_.add_added_token(term), GrownToken::Kind::kAddedToken, found.ids);
}

Json Grower::grown_json() const {
  Json json = old_.json();
  Json& vocabulary = json["model"]["vocab"];
  for (const auto& [content, id] : model_.contents()) {
    if (!model_.contains(content)) append_entry(vocabulary, content, id);
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
    if (model_.merges_are_strings()) {
      merges.push_back(model_.name(left) + " " + model_.name(right));
    } else {
      merges.push_back(Json::array({model_.name(left), model_.name(right)}));
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

/// The two tokens that each new merge joins, by what it makes.
std::unordered_map<std::string, std::pair<std::string, std::string>> merges_between(
    const Json& old, const Json& grown) {
  std::unordered_map<std::string, std::pair<std::string, std::string>> made;
  const Json& merges = grown.at("model").at("merges");
  for (size_t i = old.at("model").at("merges").size(); i < merges.size(); ++i) {
    std::string left, right;
    if (merges[i].is_string()) {
      const std::string text = merges[i].get<std::string>();
      left = text.substr(0, text.find(' '));
      right = text.substr(left.size() + 1);
    } else {
      left = merges[i].at(0).get<std::string>();
      right = merges[i].at(1).get<std::string>();
    }
    made.emplace(left + right, std::pair(left, right));
  }
  return made;
}

}  // namespace

int64_t GrowthResult::terms() const {
  return std::count_if(added.begin(), added.end(), [](const GrownToken& token) {
    return token.kind != GrownToken::Kind::kIntermediate;
  });
}

GrowthResult growth_between(const Tokenizer& old, const Tokenizer& grown) {
  const auto merges = merges_between(old.json(), grown.json());
  const std::vector<int64_t> added_ids = grown.added_ids();
  const TermContext before(old), after(grown);
  GrowthResult result{grown, {}, {}, {}};
  std::unordered_map<std::string, size_t> index;
  const auto pieces_of = [&](const std::string& part) -> std::vector<int64_t> {
    const auto known = index.find(part);
    if (known != index.end()) return result.added[known->second].pieces;
    return {*old.token_to_id(part)};
  };
  for (int64_t id = old.vocab_size(); id < grown.vocab_size(); ++id) {
    if (!grown.has_id(id)) continue;
    GrownToken token{grown.id_to_token(id), after.decode(id), id};
    const auto made = merges.find(token.token);
    if (made != merges.end()) {
      const auto& [left, right] = made->second;
      token.pieces = pieces_of(left);
      const std::vector<int64_t> rest = pieces_of(right);
      token.pieces.insert(token.pieces.end(), rest.begin(), rest.end());
      if (!result.added.empty() && result.added.back().token == left) {
        result.added.back().kind = GrownToken::Kind::kIntermediate;
      }
    } else {
      const bool added = std::binary_search(added_ids.begin(), added_ids.end(), id);
      if (added) token.kind = GrownToken::Kind::kAddedToken;
      token.pieces = before.look(token.text).ids;
    }
    index.emplace(token.token, result.added.size());
    result.added.push_back(std::move(token));
  }
  return result;
}

GrowthResult grow(const Tokenizer& tokenizer, const std::vector<std::string>& terms,
                  const GrowOptions& options) {
  Grower grower(tokenizer, options);
  for (const std::string& term : terms) grower.add(term);
  return grower.finish();
}

}  // namespace hone::text

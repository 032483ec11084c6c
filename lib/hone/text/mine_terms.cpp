#include <algorithm>
#include <queue>
#include <tuple>

#include "hone/core/error.h"
#include "hone/text/detail/growing_model.h"
#include "hone/text/detail/growth_context.h"
#include "hone/text/detail/run_terms.h"
#include "hone/text/detail/scripts.h"
#include "hone/text/detail/string_table.h"
#include "hone/text/detail/term_corpus.h"
#include "hone/text/growth.h"
#include "hone/unicode/unicode.h"

namespace hone::text {
namespace {

using namespace detail;

/// Longer candidates are no terms but layout or sequences.
constexpr size_t kMaxTermBytes = 128;

bool is_letter(char32_t c) {
  return (unicode::char_classes()[c] & (unicode::kLetter | unicode::kMark)) != 0;
}

/// Bytes of the letters and marks that `text` starts with.
size_t letters(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const char* next = p;
    if (!is_letter(next_char(next))) break;
    p = next;
  }
  return static_cast<size_t>(p - text.data());
}

/// Bytes of the candidate at the start of `text`: one word with at most one space before it, or 0.
size_t word(std::string_view text) {
  const size_t space = text.starts_with(' ') ? 1 : 0;
  const size_t length = letters(text.substr(space));
  return length > 0 ? space + length : 0;
}

/// Strings and how often each was counted, in the order in which they came.
class Counts {
 public:
  void add(std::string_view text) {
    const int64_t known = table_.find(text);
    if (known >= 0) {
      ++counts_[static_cast<size_t>(known)];
      return;
    }
    table_.insert(text, static_cast<uint32_t>(texts_.size()));
    texts_.emplace_back(text);
    counts_.push_back(1);
  }
  size_t size() const { return texts_.size(); }
  const std::string& text(size_t i) const { return texts_[i]; }
  int64_t count(size_t i) const { return counts_[i]; }
  /// The place of `text`, or -1.
  int64_t find(std::string_view text) const { return table_.find(text); }

 private:
  StringTable table_;
  std::vector<std::string> texts_;
  std::vector<int64_t> counts_;
};

/// Cuts texts into pieces within which tokens may join, and counts the words among them.
class PieceCounter {
 public:
  PieceCounter(const TermContext& context, bool words_only)
      : words_only_(words_only),
        splits_words_(context.splits_words()),
        prepends_space_(context.prepends_space()) {}

  void add_text(const Tokenizer& tokenizer, std::string_view text) {
    if (!is_utf8(text)) return add_text(tokenizer, replace_invalid(text));
    for (const Offset& piece : tokenizer.pieces(text)) {
      const auto begin = static_cast<size_t>(piece.begin);
      const std::string_view part = text.substr(begin, static_cast<size_t>(piece.end) - begin);
      if (splits_words_) {
        add_piece(part, begin == 0);
        if (!words_only_ || word(part) == part.size()) add_word(part, begin == 0);
      } else {
        add_parts(part, begin == 0);
      }
    }
  }

  const Counts& pieces() const { return pieces_; }
  const Counts& words() const { return words_; }

 private:
  /// Cuts a piece that holds many words before every space, and finds the words in the parts.
  void add_parts(std::string_view piece, bool at_start) {
    for (size_t at = 0; at < piece.size();) {
      const std::string_view rest = piece.substr(at);
      const std::string_view part = rest.substr(0, std::min(rest.find(' ', 1), rest.size()));
      add_piece(part, at_start && at == 0);
      if (words_only_) {
        add_words(part, at_start && at == 0);
      } else {
        add_word(part, at_start && at == 0);
      }
      at += part.size();
    }
  }

  void add_words(std::string_view part, bool at_start) {
    for (size_t at = 0; at < part.size();) {
      const size_t length = word(part.substr(at));
      if (length > 0) add_word(part.substr(at, length), at_start && at == 0);
      at += length > 0 ? length : sequence_length(part[at]);
    }
  }

  void add_piece(std::string_view piece, bool at_start) {
    if (!piece.empty()) pieces_.add(spaced(piece, at_start));
  }
  void add_word(std::string_view term, bool at_start) {
    if (term.empty() || term.size() >= kMaxTermBytes || holds_unspaced(term)) return;
    words_.add(spaced(term, at_start));
  }
  std::string spaced(std::string_view text, bool at_start) const {
    const bool space = at_start && prepends_space_ && !text.starts_with(' ');
    return (space ? " " : "") + std::string(text);
  }

  const bool words_only_, splits_words_, prepends_space_;
  Counts pieces_, words_;
};

class Miner {
 public:
  Miner(const Tokenizer& tokenizer, const MineOptions& options)
      : tokenizer_(tokenizer), options_(options), context_(tokenizer), model_(tokenizer, {}) {}

  std::vector<TermCandidate> mine(const std::vector<std::string>& texts);

 private:
  struct Candidate {
    TermCandidate term;
    TermWay way;
    size_t row;                   ///< of the corpus: the term's tokens as they are now
    std::optional<size_t> piece;  ///< the row of the piece that it wholly is
  };
  /// What a candidate is worth in the corpus as it now is.
  struct Worth {
    double rate = 0;       ///< tokens saved for each new id
    int64_t most_ids = 0;  ///< new ids that it may need
    bool enough = false;   ///< whether it still occurs often enough
  };

  void add_pieces(const Counts& pieces);
  void add_words(const Counts& words, const Counts& pieces);
  void add_run_terms();
  void add_candidate(const std::string& text, int64_t count, int64_t min_pieces,
                     const std::vector<int64_t>* tokens, int64_t piece);
  double bound(const Candidate& candidate) const;
  Worth worth(const Candidate& candidate);
  void accept(Candidate& candidate);
  void join_all(Candidate& candidate);

  const Tokenizer& tokenizer_;
  const MineOptions& options_;
  const TermContext context_;
  GrowingModel model_;
  TermCorpus corpus_;
  RunTerms runs_;
  std::vector<size_t> row_of_piece_;
  std::vector<Candidate> candidates_;
};

void Miner::add_pieces(const Counts& pieces) {
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!holds_unspaced(pieces.text(i))) {
      row_of_piece_.push_back(corpus_.add(context_.look(pieces.text(i)).ids, pieces.count(i)));
      continue;
    }
    const Encoding encoding = context_.encode(pieces.text(i));
    row_of_piece_.push_back(corpus_.add(encoding.ids, pieces.count(i)));
    runs_.add(pieces.text(i), encoding, pieces.count(i));
  }
}

void Miner::add_candidate(const std::string& text, int64_t count, int64_t min_pieces,
                          const std::vector<int64_t>* tokens, int64_t piece) {
  const TermTokens found = context_.look(text);
  const auto size = static_cast<int64_t>(found.ids.size());
  if (size < min_pieces || (tokens && found.ids != *tokens)) return;
  const TermWay way = model_.entry(text, found, options_.mode).way;
  if (way == TermWay::kAddedToken &&
      (options_.mode == GrowthMode::kMerges || model_.contains(text))) {
    return;
  }
  Candidate candidate{{text, count, size}, way, corpus_.add(found.ids, 0), std::nullopt};
  if (way == TermWay::kWholePiece) {
    if (piece < 0) return;
    candidate.piece = row_of_piece_[static_cast<size_t>(piece)];
  }
  candidates_.push_back(std::move(candidate));
}

void Miner::add_words(const Counts& words, const Counts& pieces) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words.count(i) < options_.min_count) continue;
    add_candidate(words.text(i), words.count(i), options_.min_pieces.value_or(kMinWordPieces),
                  nullptr, pieces.find(words.text(i)));
  }
}

void Miner::add_run_terms() {
  const int64_t min_pieces = options_.min_pieces.value_or(kMinRunPieces);
  for (const RunTerms::Term& term : runs_.find(min_pieces, options_.min_count)) {
    add_candidate(term.text, term.count, min_pieces, &term.tokens, -1);
  }
}

/// At least what worth() can find: no sequence occurs more often than its rarest pair did.
double Miner::bound(const Candidate& candidate) const {
  const auto joins = candidate.term.pieces - 1;
  if (candidate.way == TermWay::kWholePiece) {
    return static_cast<double>(corpus_.weight(*candidate.piece) * joins);
  }
  const std::vector<int64_t> tokens = corpus_.row(candidate.row);
  int64_t rarest = INT64_MAX, sum = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    rarest = std::min(rarest, corpus_.pair_count(tokens[i], tokens[i + 1]));
    sum += rarest;
  }
  return candidate.way == TermWay::kMerges ? static_cast<double>(sum) / static_cast<double>(joins)
                                           : static_cast<double>(rarest * joins);
}

Miner::Worth Miner::worth(const Candidate& candidate) {
  if (candidate.way == TermWay::kWholePiece) return {bound(candidate), 1, true};
  const std::vector<int64_t> tokens = corpus_.row(candidate.row);
  const auto joins = std::ssize(tokens) - 1;
  if (joins == 0) return {0, 0, true};
  const std::vector<int64_t> counts = corpus_.count(tokens);
  Worth worth{.most_ids = joins, .enough = counts.back() >= options_.min_count};
  if (candidate.way == TermWay::kAddedToken) {
    worth.most_ids = 1;
    worth.rate = static_cast<double>(counts.back() * joins);
    return worth;
  }
  int64_t saved = 0, ids = 0;
  std::string token = model_.name(tokens[0]);
  for (size_t i = 1; i < tokens.size(); ++i) {
    token += model_.name(tokens[i]);
    if (!model_.contains(token)) ++ids;
    saved += counts[i - 1];
  }
  worth.rate = static_cast<double>(saved) / static_cast<double>(std::max<int64_t>(ids, 1));
  return worth;
}

void Miner::join_all(Candidate& candidate) {
  for (auto tokens = corpus_.row(candidate.row); tokens.size() > 1;
       tokens = corpus_.row(candidate.row)) {
    const auto made = model_.join(tokens[0], tokens[1]);
    candidate.term.saved +=
        corpus_.replace({tokens[0], tokens[1]}, made.id, made.is_new ? nullptr : &model_.merges());
  }
}

void Miner::accept(Candidate& candidate) {
  const int64_t first = model_.next_id();
  switch (candidate.way) {
    case TermWay::kMerges:
      join_all(candidate);
      break;
    case TermWay::kWholePiece: {
      std::string token;
      for (const int64_t id : corpus_.row(*candidate.piece)) token += model_.name(id);
      candidate.term.saved = corpus_.replace_row(*candidate.piece, model_.add_token(token));
      break;
    }
    case TermWay::kAddedToken: {
      const int64_t id = model_.add_added_token(candidate.term.text);
      candidate.term.saved = corpus_.replace(corpus_.row(candidate.row), id, nullptr);
    }
  }
  candidate.term.ids = model_.next_id() - first;
}

std::vector<TermCandidate> Miner::mine(const std::vector<std::string>& texts) {
  {
    PieceCounter counter(context_, options_.words_only);
    for (const std::string& text : texts) counter.add_text(tokenizer_, text);
    add_pieces(counter.pieces());
    add_words(counter.words(), counter.pieces());
  }
  add_run_terms();
  corpus_.index(options_.min_count);
  // What a candidate is worth only falls while others come in, so that one whose worth of now is
  // not below what the next was once worth is the best.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.term.text < b.term.text; });
  const auto worse = [](const auto& a, const auto& b) {
    return std::tie(a.first, b.second) < std::tie(b.first, a.second);
  };
  std::priority_queue<std::pair<double, size_t>, std::vector<std::pair<double, size_t>>,
                      decltype(worse)>
      queue(worse);
  for (size_t i = 0; i < candidates_.size(); ++i) queue.emplace(bound(candidates_[i]), i);
  std::vector<TermCandidate> found;
  int64_t ids_left = options_.max_ids.value_or(INT64_MAX);
  while (!queue.empty() && std::ssize(found) < options_.max_terms) {
    const size_t index = queue.top().second;
    queue.pop();
    Candidate& candidate = candidates_[index];
    const Worth now = worth(candidate);
    if (!now.enough || now.most_ids > ids_left) continue;
    if (now.most_ids > 0 && !queue.empty() && now.rate < queue.top().first) {
      queue.emplace(now.rate, index);
      continue;
    }
    accept(candidate);
    ids_left -= candidate.term.ids;
    found.push_back(std::move(candidate.term));
  }
  return found;
}

}  // namespace

std::vector<TermCandidate> mine_terms(const Tokenizer& tokenizer,
                                      const std::vector<std::string>& texts,
                                      const MineOptions& options) {
  if (options.min_pieces && *options.min_pieces < 2) {
    throw Error("mine_terms: min_pieces must be 2 or more");
  }
  return Miner(tokenizer, options).mine(texts);
}

std::vector<std::string> with_spaced_forms(const Tokenizer& tokenizer,
                                           const std::vector<std::string>& terms) {
  const TermContext context(tokenizer);
  std::vector<std::string> forms;
  for (const std::string& term : terms) {
    forms.push_back(term);
    const std::string spaced = " " + term;
    if (term.starts_with(' ') || holds_unspaced(term)) continue;
    if (context.look(spaced).one_piece) forms.push_back(spaced);
  }
  return forms;
}

}  // namespace hone::text

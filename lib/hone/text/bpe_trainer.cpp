#include "hone/text/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "hone/core/checked.h"
#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/added_tokens.h"
#include "hone/text/detail/pre_tokenizer.h"
#include "hone/text/detail/scanners.h"
#include "hone/text/detail/string_table.h"

namespace hone::text {
namespace {

using namespace detail;

constexpr char kSource[] = "train_bpe";

Json split_by(const char* pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json byte_level(bool add_prefix_space, bool trim_offsets, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", trim_offsets},
          {"use_regex", use_regex}};
}

/// A family's tokenizer.json, its model still without vocabulary and merges.
Json family_json(TokenizerFamily family) {
  Json normalizer, splits = Json::array(), ends = byte_level(true, false, true);
  switch (family) {
    case TokenizerFamily::kDeepSeekV3:
      normalizer = {{"type", "Sequence"}, {"normalizers", Json::array()}};
      splits = {split_by(pattern::kDigits3), split_by(pattern::kDeepSeekCjk),
                split_by(pattern::kDeepSeekText), byte_level(false, true, false)};
      break;
    case TokenizerFamily::kQwen2:
      normalizer = {{"type", "NFC"}};
      splits = {split_by(pattern::kQwen2), byte_level(false, false, false)};
      ends = byte_level(false, false, false);
      break;
    case TokenizerFamily::kLlama3:
      splits = {split_by(pattern::kLlama3), byte_level(false, true, false)};
      break;
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array()},
          {"normalizer", normalizer},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", splits}}},
          {"post_processor", ends},
          {"decoder", ends},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", family == TokenizerFamily::kLlama3},
            {"vocab", Json::object()},
            {"merges", Json::array()}}}};
}

/// A distinct piece of the texts.
struct Word {
  std::vector<uint32_t> symbols;
  int64_t count = 0;
};

/// The distinct pieces that the pre-tokenizer makes of the texts, as symbols `first_byte` + byte
/// rank; special tokens are left out.
class WordCounter {
 public:
  explicit WordCounter(const Json& tokenizer)
      : normalizer_(Normalizer::parse(tokenizer["normalizer"], kSource)),
        pre_tokenizer_(PreTokenizer::parse(tokenizer["pre_tokenizer"], kSource)),
        specials_(AddedTokens::parse(
            tokenizer["added_tokens"], kSource, [](const std::string&) { return -1; }, 0)) {
    specials_.build(normalizer_, scratch_);
  }

  void add(const std::string& text) {
    if (!is_utf8(text)) return add(replace_invalid(text));
    stretches_.clear();
    specials_.split(text, false, stretches_);
    for (const Stretch& stretch : stretches_) {
      if (stretch.id >= 0) continue;
      segment_.buffer.reset(
          std::string_view(text).substr(stretch.span.begin, stretch.span.end - stretch.span.begin));
      segment_.at_text_start = stretch.span.begin == 0;
      normalizer_.apply(segment_.buffer, scratch_);
      pre_tokenizer_.apply(segment_, scratch_);
      for (const ByteRange piece : segment_.pieces) {
        count(segment_.buffer.text().substr(piece.begin, piece.end - piece.begin));
      }
    }
  }

  std::vector<Word> take(const std::vector<uint32_t>& id_of_byte) {
    std::vector<Word> words(counts_.size());
    for (size_t i = 0; i < words.size(); ++i) {
      words[i].count = counts_[i];
      for (const char c : pieces_[i]) {
        words[i].symbols.push_back(id_of_byte[static_cast<unsigned char>(c)]);
      }
    }
    return words;
  }

 private:
  void count(std::string_view piece) {
    const int64_t known = index_.find(piece);
    if (known >= 0) {
      ++counts_[static_cast<size_t>(known)];
      return;
    }
    index_.insert(piece, static_cast<uint32_t>(counts_.size()));
    pieces_.emplace_back(piece);
    counts_.push_back(1);
  }

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  AddedTokens specials_;
  MatchScratch scratch_;
  Segment segment_;
  std::vector<Stretch> stretches_;
  StringTable index_;
  std::vector<std::string> pieces_;
  std::vector<int64_t> counts_;
};

/// Counts of adjacent pairs, kept up to date while words are merged.
class PairCounts {
 public:
  struct Best {
    int64_t count;
    uint32_t left, right;
  };

  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (uint32_t i = 0; i < words_.size(); ++i) {
      const Word& word = words_[i];
      for (size_t k = 0; k + 1 < word.symbols.size(); ++k) {
        change(word.symbols[k], word.symbols[k + 1], word.count, i);
      }
    }
    queue_dirty();
  }

  /// The pair of the highest count, of equal ones that of the lowest ids; count 0 if none is left.
  Best pop() {
    while (!queue_.empty()) {
      const Best best = queue_.top();
      queue_.pop();
      const auto entry = pairs_.find(key(best.left, best.right));
      if (entry == pairs_.end() || entry->second.count <= 0) continue;
      if (entry->second.count == best.count) return best;
      if (entry->second.count < best.count)
        queue_.push({entry->second.count, best.left, best.right});
    }
    return {0, 0, 0};
  }

  /// Forgets a pair that must not be merged.
  void drop(const Best& pair) { pairs_.erase(key(pair.left, pair.right)); }

  /// Replaces the pair by `merged` in every word.
  void merge(const Best& pair, uint32_t merged) {
    const auto entry = pairs_.find(key(pair.left, pair.right));
    const std::vector<uint32_t> holders = std::move(entry->second.words);
    for (const uint32_t index : holders) merge_word(index, pair, merged);
    drop(pair);
    queue_dirty();
  }

 private:
  struct Entry {
    int64_t count = 0;
    std::vector<uint32_t> words;  ///< that hold or held the pair; ascending runs
  };
  struct Later {
    bool operator()(const Best& a, const Best& b) const {
      if (a.count != b.count) return a.count < b.count;
      return key(a.left, a.right) > key(b.left, b.right);
    }
  };

  static uint64_t key(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

  void change(uint32_t left, uint32_t right, int64_t by, uint32_t word) {
    Entry& entry = pairs_[key(left, right)];
    entry.count += by;
    if (by < 0) return;  // queued entries are checked when they come up
    if (entry.words.empty() || entry.words.back() != word) entry.words.push_back(word);
    dirty_.insert(key(left, right));
  }

  void queue_dirty() {
    for (const uint64_t pair : dirty_) {
      const auto entry = pairs_.find(pair);
      if (entry == pairs_.end() || entry->second.count <= 0) continue;
      queue_.push(
          {entry->second.count, static_cast<uint32_t>(pair >> 32), static_cast<uint32_t>(pair)});
    }
    dirty_.clear();
  }

  void merge_word(uint32_t index, const Best& pair, uint32_t merged) {
    std::vector<uint32_t>& symbols = words_[index].symbols;
    const int64_t count = words_[index].count;
    size_t out = 0;
    for (size_t i = 0; i < symbols.size(); ++out) {
      const bool here =
          symbols[i] == pair.left && i + 1 < symbols.size() && symbols[i + 1] == pair.right;
      if (!here) {
        symbols[out] = symbols[i++];
        continue;
      }
      if (out > 0) {
        change(symbols[out - 1], pair.left, -count, index);
        change(symbols[out - 1], merged, count, index);
      }
      if (i + 2 < symbols.size()) {
        change(pair.right, symbols[i + 2], -count, index);
        change(merged, symbols[i + 2], count, index);
      }
      symbols[out] = merged;
      i += 2;
    }
    symbols.resize(out);
  }

  std::vector<Word> words_;
  std::unordered_map<uint64_t, Entry> pairs_;
  std::unordered_set<uint64_t> dirty_;
  std::priority_queue<Best, std::vector<Best>, Later> queue_;
};

}  // namespace

void BpeTrainerOptions::validate(Validation& v) const {
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < special_tokens.size(); ++i) {
    const std::string& token = special_tokens[i];
    const std::string field = "special_tokens/" + std::to_string(i);
    if (token.empty() || !is_utf8(token)) {
      v.problem(field, "must be text, and not empty");
    } else if (!seen.insert(token).second) {
      v.problem(field, "\"" + token + "\" is listed twice");
    } else if (const std::u32string chars = to_utf32(token);
               chars.size() == 1 && char_to_byte(chars[0]) >= 0) {
      v.problem(field, "\"" + token + "\" already is the token of a byte");
    }
  }
  if (vocab_size < static_cast<int64_t>(256 + special_tokens.size())) {
    v.problem("vocab_size", "must be at least 256 and one for each special token, " +
                                std::to_string(256 + special_tokens.size()) + ", got " +
                                std::to_string(vocab_size));
  }
}

Json train_bpe(const std::vector<std::string>& texts, const BpeTrainerOptions& options) {
  checked(options, kSource);
  Json tokenizer = family_json(options.family);
  std::vector<std::string> tokens = options.special_tokens;
  for (size_t id = 0; id < tokens.size(); ++id) {
    tokenizer["added_tokens"].push_back({{"id", id},
                                         {"content", tokens[id]},
                                         {"single_word", false},
                                         {"lstrip", false},
                                         {"rstrip", false},
                                         {"normalized", false},
                                         {"special", true}});
  }
  std::vector<uint32_t> id_of_byte(256);
  for (char32_t c = 0; c < 512; ++c) {
    if (char_to_byte(c) < 0) continue;
    id_of_byte[static_cast<size_t>(char_to_byte(c))] = static_cast<uint32_t>(tokens.size());
    tokens.push_back(to_utf8(c));
  }

  WordCounter counter(tokenizer);
  for (const std::string& text : texts) counter.add(text);
  PairCounts pairs(counter.take(id_of_byte));

  StringTable ids;
  for (uint32_t id = 0; id < tokens.size(); ++id) ids.insert(tokens[id], id);
  Json& merges = tokenizer["model"]["merges"];
  while (static_cast<int64_t>(tokens.size()) < options.vocab_size) {
    const PairCounts::Best best = pairs.pop();
    if (best.count < options.min_frequency) break;
    std::string merged = tokens[best.left] + tokens[best.right];
    const int64_t known = ids.find(merged);
    if (known >= 0 && known < static_cast<int64_t>(options.special_tokens.size())) {
      pairs.drop(best);  // spelt like a special token: the text of that must not come from merges
      continue;
    }
    merges.push_back({tokens[best.left], tokens[best.right]});
    const auto id = static_cast<uint32_t>(known >= 0 ? known : static_cast<int64_t>(tokens.size()));
    if (known < 0) {
      ids.insert(merged, id);
      tokens.push_back(std::move(merged));
    }
    pairs.merge(best, id);
  }

  auto& vocabulary = static_cast<std::vector<std::pair<const std::string, Json>>&>(
      tokenizer["model"]["vocab"].get_ref<Json::object_t&>());
  vocabulary.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary.emplace_back(tokens[id], id);
  return tokenizer;
}

}  // namespace hone::text

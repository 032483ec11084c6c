#include "hone/data/detail/synonyms.h"

#include <algorithm>
#include <string>

namespace hone::data::detail {
namespace {

constexpr size_t kShortest = 3, kLongest = 64;

// Words of grammar; WordNet lists most of them only as something else ("might": power).
constexpr std::string_view kFunctionWords[] = {
    "about",   "above",  "after",  "all",   "also",    "although", "and",     "any",   "are",
    "because", "been",   "before", "being", "below",   "between",  "both",    "but",   "can",
    "could",   "did",    "does",   "each",  "either",  "else",     "even",    "ever",  "every",
    "few",     "for",    "from",   "had",   "has",     "have",     "her",     "him",   "his",
    "how",     "into",   "its",    "just",  "less",    "many",     "may",     "might", "mine",
    "more",    "most",   "much",   "must",  "neither", "never",    "nor",     "not",   "now",
    "off",     "once",   "one",    "only",  "other",   "our",      "out",     "over",  "own",
    "per",     "same",   "shall",  "she",   "should",  "since",    "some",    "such",  "than",
    "that",    "the",    "their",  "them",  "then",    "there",    "these",   "they",  "this",
    "those",   "though", "thus",   "too",   "two",     "under",    "until",   "upon",  "very",
    "was",     "were",   "what",   "when",  "where",   "whether",  "which",   "while", "who",
    "whom",    "whose",  "why",    "will",  "with",    "within",   "without", "would", "yes",
    "yet",     "you",    "your"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool all_lower(std::string_view word) { return std::all_of(word.begin(), word.end(), is_lower); }
bool begins_with_vowel(std::string_view word) {
  return std::string_view("aeiouAEIOU").find(word[0]) != std::string_view::npos;
}
char lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }
char upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }

bool begins_sentence(std::string_view text, int64_t at) {
  const std::string_view before = text.substr(0, at);
  const size_t last = before.find_last_not_of(" \t\r\"'(");
  return last == std::string_view::npos ||
         std::string_view(".!?:\n").find(before[last]) != std::string_view::npos;
}

/// Whether the word before text[at] is "a" or "an".
bool after_article(std::string_view text, int64_t at) {
  std::string_view before = text.substr(0, at);
  if (!before.ends_with(' ')) return false;
  before.remove_suffix(1);
  const std::string_view word = before.substr(before.find_last_of(" \t\n\"'(") + 1);
  return word == "a" || word == "A" || word == "an" || word == "An";
}

}  // namespace

std::vector<std::string> replacements(const WordNet& wordnet, std::string_view word,
                                      int64_t senses) {
  if (word.size() < kShortest || word.size() > kLongest) return {};
  if (std::binary_search(std::begin(kFunctionWords), std::end(kFunctionWords), word)) return {};
  const std::vector<WordNet::Part> parts = wordnet.parts(word);
  if (parts.size() != 1 || wordnet.is_inflected(word)) return {};
  std::vector<std::string> found = wordnet.synonyms(word, parts.front(), senses);
  std::erase_if(found, [](const std::string& other) {
    return other.size() < kShortest || !all_lower(other);
  });
  return found;
}

std::vector<Edit> choose_synonyms(std::string_view text, const std::vector<Word>& words,
                                  const WordNet& wordnet, int64_t senses, double rate,
                                  Random& random) {
  std::vector<Edit> edits;
  for (const auto& [span, unspaced] : words) {
    // One draw a word: what becomes of a word does not hang on the others' synonyms.
    Random own(random.next());
    if (own.uniform() >= rate || unspaced) continue;
    std::string word(text.substr(span.begin, span.end - span.begin));
    const bool capital = is_upper(word[0]);
    if (capital && !begins_sentence(text, span.begin)) continue;
    word[0] = lower(word[0]);
    if (!all_lower(word)) continue;
    std::vector<std::string> others = replacements(wordnet, word, senses);
    if (after_article(text, span.begin)) {
      std::erase_if(others, [&](const std::string& other) {
        return begins_with_vowel(other) != begins_with_vowel(word);
      });
    }
    if (others.empty()) continue;
    std::string& chosen = others[own.below(others.size())];
    if (capital) chosen[0] = upper(chosen[0]);
    edits.push_back({span, std::move(chosen)});
  }
  return edits;
}

}  // namespace hone::data::detail

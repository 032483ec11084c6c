/// WordNet's database files: words, and which words mean the same.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hone::data {

/// Reads a folder with index.P, data.P and P.exc for P noun, verb, adj and adv, in the format of
/// wndb(5WN), as Debian's wordnet-base installs it in /usr/share/wordnet (3.0: 155,287 words,
/// 117,659 synsets). All of it is read and checked at once (a third of a second, 40 MB).
///
/// Bounds: a file holds at most 256 MiB, a line 1 MiB.
/// Parity: an independent reading in Python gives the same synonyms for every word
///   (tests/interop/data_wordnet.py).
class WordNet {
 public:
  enum class Part { kNoun, kVerb, kAdjective, kAdverb };
  static constexpr std::array kParts = {Part::kNoun, Part::kVerb, Part::kAdjective, Part::kAdverb};

  /// Throws: IoError naming the file that is missing, or the file and line that are malformed.
  explicit WordNet(const std::string& folder);

  /// Parts of speech that the lower-case word (with '_' for spaces) is listed under.
  std::vector<Part> parts(std::string_view word) const;

  /// The other words of the word's `senses` most frequent synsets, as spelled there (with '_' for
  /// spaces), each once, most frequent synset first. A synset that spells the word otherwise does
  /// not count: "He" is helium, "he" is not.
  std::vector<std::string> synonyms(std::string_view word, Part part, int64_t senses) const;

  /// Whether the word may be an inflected form of another: it is listed as an irregular one
  /// ("found"), or a rule of WordNet's own (-s, -es, -ies, -ed, -ing, -er, -est, ...) makes of it
  /// a listed word of the rule's part of speech ("meeting").
  bool is_inflected(std::string_view word) const;

  /// Words listed, over all parts of speech.
  int64_t words() const;
  /// XXH3-128 of all that was read.
  const std::string& hash() const { return hash_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <class Value>
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  struct Lexicon {
    Map<std::vector<uint32_t>> index;  ///< word -> its synsets, most frequent first
    std::unordered_map<uint32_t, std::vector<std::string>> synsets;
    Map<bool> irregular;  ///< inflected forms
  };
  void read_data(const std::string& path, Part part);
  void read_index(const std::string& path, Part part);
  void read_exceptions(const std::string& path, Part part);
  const Lexicon& of(Part part) const { return lexicons_[static_cast<size_t>(part)]; }
  Lexicon& of(Part part) { return lexicons_[static_cast<size_t>(part)]; }

  std::array<Lexicon, 4> lexicons_;
  std::string hash_;
};

}  // namespace hone::data

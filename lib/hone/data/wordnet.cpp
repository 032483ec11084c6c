#include "hone/data/wordnet.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/data/detail/line_reader.h"

namespace hone::data {
namespace {

constexpr size_t kMaxLine = size_t{1} << 20;
constexpr uintmax_t kMaxFile = uintmax_t{256} << 20;

/// A line's fields from left to right; what is wrong with one names file and line.
class Fields {
 public:
  Fields(const std::string& path, int64_t line, std::string_view text)
      : path_(path), line_(line), rest_(text) {}

  bool done() const { return rest_.find_first_not_of(' ') == std::string_view::npos; }

  std::string_view word(const char* what) {
    const size_t begin = std::min(rest_.find_first_not_of(' '), rest_.size());
    const size_t end = std::min(rest_.find(' ', begin), rest_.size());
    if (begin == end) fail(std::string("the ") + what + " is missing");
    const std::string_view field = rest_.substr(begin, end - begin);
    rest_.remove_prefix(end);
    return field;
  }

  uint32_t number(const char* what, int base = 10) {
    const std::string_view field = word(what);
    uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(field.data(), field.data() + field.size(), value, base);
    if (error != std::errc() || end != field.data() + field.size()) {
      fail("the " + std::string(what) + " must be a number, got \"" +
           std::string(field.substr(0, 40)) + "\"");
    }
    return value;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw IoError(path_, "line " + std::to_string(line_) + ": " + reason);
  }

 private:
  const std::string& path_;
  int64_t line_;
  std::string_view rest_;
};

/// Calls take(fields) for each line but the licence, whose lines begin with a space; adds the
/// file's content to `hashes`.
template <class Take>
void for_each_line(const std::string& path, std::string& hashes, const Take& take) {
  detail::LineReader reader(path, kMaxLine);
  std::error_code unknown;
  if (std::filesystem::file_size(path, unknown) > kMaxFile) {
    throw IoError(path, "is over the limit of 256 MiB");
  }
  std::string line, content;
  for (auto got = reader.next(line); got != detail::LineReader::Got::kEnd;
       got = reader.next(line)) {
    Fields fields(path, reader.line(), line);
    if (got == detail::LineReader::Got::kTooLong) fields.fail("is over the limit of 1 MiB");
    content += line + "\n";
    if (!line.empty() && line[0] != ' ') take(fields);
  }
  hashes += hash_bytes(content);
}

const char* file_name(WordNet::Part part) {
  constexpr const char* kNames[] = {"noun", "verb", "adj", "adv"};
  return kNames[static_cast<size_t>(part)];
}

/// The letters by which the files name a part of speech; 's' is an adjective's satellite.
std::string_view letters(WordNet::Part part) {
  constexpr std::string_view kLetters[] = {"n", "v", "as", "r"};
  return kLetters[static_cast<size_t>(part)];
}

/// An adjective without the marker of its place in a phrase: "galore(ip)".
std::string_view without_marker(std::string_view word) {
  for (const std::string_view marker : {"(p)", "(a)", "(ip)"}) {
    if (word.ends_with(marker)) return word.substr(0, word.size() - marker.size());
  }
  return word;
}

/// WordNet's rules of detachment, morphy(7WN).
struct Rule {
  WordNet::Part part;
  std::string_view suffix, ending;
};
constexpr Rule kRules[] = {
    {WordNet::Part::kNoun, "s", ""},        {WordNet::Part::kNoun, "ses", "s"},
    {WordNet::Part::kNoun, "xes", "x"},     {WordNet::Part::kNoun, "zes", "z"},
    {WordNet::Part::kNoun, "ches", "ch"},   {WordNet::Part::kNoun, "shes", "sh"},
    {WordNet::Part::kNoun, "men", "man"},   {WordNet::Part::kNoun, "ies", "y"},
    {WordNet::Part::kVerb, "s", ""},        {WordNet::Part::kVerb, "ies", "y"},
    {WordNet::Part::kVerb, "es", "e"},      {WordNet::Part::kVerb, "es", ""},
    {WordNet::Part::kVerb, "ed", "e"},      {WordNet::Part::kVerb, "ed", ""},
    {WordNet::Part::kVerb, "ing", "e"},     {WordNet::Part::kVerb, "ing", ""},
    {WordNet::Part::kAdjective, "er", ""},  {WordNet::Part::kAdjective, "est", ""},
    {WordNet::Part::kAdjective, "er", "e"}, {WordNet::Part::kAdjective, "est", "e"},
};

}  // namespace

WordNet::WordNet(const std::string& folder) {
  if (!std::filesystem::is_directory(folder)) {
    throw IoError(folder,
                  "is no folder; it must hold WordNet's index.noun, data.noun and their kin: "
                  "install Debian's wordnet-base, or name another folder");
  }
  for (const Part part : kParts) {
    const std::string name = file_name(part);
    read_data(folder + "/data." + name, part);
    read_index(folder + "/index." + name, part);
    read_exceptions(folder + "/" + name + ".exc", part);
  }
  hash_ = hash_bytes(hash_);
}

void WordNet::read_data(const std::string& path, Part part) {
  for_each_line(path, hash_, [&](Fields& fields) {
    const uint32_t offset = fields.number("synset's offset");
    fields.number("lexicographer file");
    const std::string_view type = fields.word("synset's type");
    if (type.size() != 1 || letters(part).find(type) == std::string_view::npos) {
      fields.fail("the synset's type must be one of \"" + std::string(letters(part)) +
                  "\", got \"" + std::string(type.substr(0, 40)) + "\"");
    }
    const uint32_t count = fields.number("number of words", 16);
    if (count < 1 || count > 0xff) fields.fail("a synset must have 1 to 255 words");
    std::vector<std::string> words(count);
    for (std::string& word : words) {
      word = without_marker(fields.word("word"));
      fields.number("word's lexical id", 16);
    }
    if (!of(part).synsets.try_emplace(offset, std::move(words)).second) {
      fields.fail("synset " + std::to_string(offset) + " is there twice");
    }
  });
}

void WordNet::read_index(const std::string& path, Part part) {
  Lexicon& lexicon = of(part);
  for_each_line(path, hash_, [&](Fields& fields) {
    const std::string word(fields.word("word"));
    const std::string_view letter = fields.word("part of speech");
    if (letter != letters(part).substr(0, 1)) {
      fields.fail("the part of speech must be \"" + std::string(letters(part).substr(0, 1)) +
                  "\", got \"" + std::string(letter.substr(0, 40)) + "\"");
    }
    const uint32_t count = fields.number("number of synsets");
    for (uint32_t pointers = fields.number("number of pointers"); pointers > 0; --pointers) {
      fields.word("pointer");
    }
    fields.number("number of senses");
    fields.number("number of tagged senses");
    std::vector<uint32_t> synsets;
    while (!fields.done()) {
      synsets.push_back(fields.number("synset's offset"));
      if (!lexicon.synsets.contains(synsets.back())) {
        fields.fail("there is no synset " + std::to_string(synsets.back()) + " in data." +
                    file_name(part));
      }
    }
    if (synsets.size() != count || count == 0) {
      fields.fail("expected " + std::to_string(count) + " synsets, at least 1, got " +
                  std::to_string(synsets.size()));
    }
    if (!lexicon.index.try_emplace(word, std::move(synsets)).second) {
      fields.fail("the word " + word.substr(0, 40) + " is there twice");
    }
  });
}

void WordNet::read_exceptions(const std::string& path, Part part) {
  for_each_line(path, hash_, [&](Fields& fields) {
    const std::string inflected(fields.word("inflected form"));
    const std::string_view base = fields.word("base form");
    if (base != inflected) of(part).irregular.try_emplace(inflected, true);
  });
}

std::vector<WordNet::Part> WordNet::parts(std::string_view word) const {
  std::vector<Part> found;
  for (const Part part : kParts) {
    if (of(part).index.contains(word)) found.push_back(part);
  }
  return found;
}

std::vector<std::string> WordNet::synonyms(std::string_view word, Part part, int64_t senses) const {
  std::vector<std::string> found;
  const auto entry = of(part).index.find(word);
  if (entry == of(part).index.end()) return found;
  for (const uint32_t offset : entry->second) {
    if (senses-- <= 0) break;
    const std::vector<std::string>& synset = of(part).synsets.at(offset);
    if (std::find(synset.begin(), synset.end(), word) == synset.end()) continue;
    for (const std::string& other : synset) {
      if (other != word && std::find(found.begin(), found.end(), other) == found.end()) {
        found.push_back(other);
      }
    }
  }
  return found;
}

bool WordNet::is_inflected(std::string_view word) const {
  for (const Lexicon& lexicon : lexicons_) {
    if (lexicon.irregular.contains(word)) return true;
  }
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const Rule& rule) {
    if (word.size() <= rule.suffix.size() || !word.ends_with(rule.suffix)) return false;
    const std::string_view stem = word.substr(0, word.size() - rule.suffix.size());
    return of(rule.part).index.contains(std::string(stem) + std::string(rule.ending));
  });
}

int64_t WordNet::words() const {
  int64_t sum = 0;
  for (const Lexicon& lexicon : lexicons_) sum += static_cast<int64_t>(lexicon.index.size());
  return sum;
}

}  // namespace hone::data

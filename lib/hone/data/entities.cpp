#include "hone/data/entities.h"

#include <utf8proc.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/utf8.h"
#include "hone/data/detail/characters.h"
#include "hone/unicode/unicode.h"

namespace hone::data {
namespace {

constexpr size_t kMaxTermBytes = 1024;
constexpr size_t kMaxTermFile = size_t{256} << 20;

uint32_t fold(uint32_t code) {
  constexpr uint32_t kFinalSigma = 0x3c2, kSigma = 0x3c3;
  if (code == kFinalSigma) return kSigma;
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

/// What terms and texts are compared by: a word, a run of white space, or one other character.
struct Unit {
  Span span;
  std::string key;  ///< folded; one space for white space

  bool space() const { return key == " "; }
};

std::vector<Unit> split(std::string_view text, bool ignore_case) {
  std::vector<Unit> units;
  enum class Kind { kWord, kSpace, kSingle } last = Kind::kSingle;
  for (size_t at = 0; at < text.size();) {
    const auto [code, length] = character_at(text, at);
    const bool valid = code != Character::kInvalid;
    const Kind kind = valid && unicode::is_space(code) ? Kind::kSpace
                      : valid && detail::is_word(code) ? Kind::kWord
                                                       : Kind::kSingle;
    const auto begin = static_cast<int64_t>(at);
    if (kind == Kind::kSingle || kind != last) units.push_back({{begin, begin}, {}});
    Unit& unit = units.back();
    at += length;
    unit.span.end = static_cast<int64_t>(at);
    if (kind == Kind::kSpace) {
      unit.key = " ";
    } else if (!valid) {
      unit.key += text[at - length];
    } else {
      append_utf8(unit.key, ignore_case ? fold(code) : code);
    }
    last = kind;
  }
  return units;
}

std::string_view trim(std::string_view line) {
  const char* blank = " \t\r\n\f\v";
  const size_t begin = line.find_first_not_of(blank);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(blank) - begin + 1);
}

}  // namespace

struct EntityMatcher::Trie {
  bool ignore_case = false;
  int64_t terms = 0;
  std::unordered_map<std::string, uint32_t> units;  ///< keys that occur in terms
  std::unordered_map<uint64_t, uint32_t> edges;     ///< node * 2^32 + unit -> node
  std::vector<bool> ends{false};                    ///< of each node, root first: a term ends here

  static uint64_t edge(uint32_t node, uint32_t unit) { return uint64_t{node} << 32 | unit; }

  void add(const std::string& term) {
    if (term.size() > kMaxTermBytes) {
      throw Error("EntityMatcher: a term has " + std::to_string(term.size()) +
                  " bytes; the limit is " + std::to_string(kMaxTermBytes) + ": " +
                  term.substr(0, 40) + "...");
    }
    std::vector<Unit> path = split(term, ignore_case);
    if (!path.empty() && path.back().space()) path.pop_back();
    if (!path.empty() && path.front().space()) path.erase(path.begin());
    if (path.empty()) throw Error("EntityMatcher: a term is empty");
    uint32_t node = 0;
    for (Unit& unit : path) {
      const auto id = units.try_emplace(std::move(unit.key), units.size()).first->second;
      const auto [next, added] = edges.try_emplace(edge(node, id), ends.size());
      if (added) ends.push_back(false);
      node = next->second;
    }
    if (!ends[node]) ++terms;
    ends[node] = true;
  }
};

EntityMatcher::EntityMatcher(const std::vector<std::string>& terms, bool ignore_case)
    : trie_(std::make_unique<Trie>()) {
  trie_->ignore_case = ignore_case;
  for (const std::string& term : terms) trie_->add(term);
}
EntityMatcher::~EntityMatcher() = default;
EntityMatcher::EntityMatcher(EntityMatcher&&) noexcept = default;
EntityMatcher& EntityMatcher::operator=(EntityMatcher&&) noexcept = default;

int64_t EntityMatcher::terms() const { return trie_->terms; }

std::vector<Span> EntityMatcher::find(std::string_view text) const {
  const std::vector<Unit> units = split(text, trie_->ignore_case);
  std::vector<std::optional<uint32_t>> ids;
  for (const Unit& unit : units) {
    const auto known = trie_->units.find(unit.key);
    ids.push_back(known == trie_->units.end() ? std::nullopt : std::optional(known->second));
  }
  std::vector<Span> matches;
  for (size_t begin = 0; begin < units.size();) {
    size_t end = begin;  // of the longest match
    uint32_t node = 0;
    for (size_t i = begin; i < units.size() && ids[i]; ++i) {
      const auto next = trie_->edges.find(Trie::edge(node, *ids[i]));
      if (next == trie_->edges.end()) break;
      node = next->second;
      if (trie_->ends[node]) end = i + 1;
    }
    if (end > begin) matches.push_back({units[begin].span.begin, units[end - 1].span.end});
    begin = std::max(end, begin + 1);
  }
  return matches;
}

std::vector<std::string> read_terms(const std::string& path) {
  const std::string text = read_file(path, kMaxTermFile);
  std::vector<std::string> terms;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view term = trim(std::string_view(text).substr(begin, end - begin));
    if (!term.empty() && term.front() != '#') terms.emplace_back(term);
    begin = end + 1;
  }
  if (terms.empty()) throw Error(path + ": holds no term");
  return terms;
}

}  // namespace hone::data

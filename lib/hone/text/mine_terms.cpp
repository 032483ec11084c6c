#include <algorithm>
#include <tuple>

#include "hone/text/detail/growth_context.h"
#include "hone/text/detail/string_table.h"
#include "hone/text/detail/unicode.h"
#include "hone/text/growth.h"

namespace hone::text {
namespace {

using namespace detail;

/// Longer candidates are no terms but layout, sequences or text without spaces.
constexpr size_t kMaxTermBytes = 128;

bool is_letter(char32_t c) { return (char_classes()[c] & (kLetter | kMark)) != 0; }

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

/// Counts the candidates of texts.
class Counter {
 public:
  Counter(const TermContext& context, bool words_only)
      : words_only_(words_only),
        splits_words_(context.splits_words()),
        prepends_space_(context.prepends_space()) {}

  void add_text(const Tokenizer& tokenizer, std::string_view text) {
    if (!is_valid_utf8(text)) return add_text(tokenizer, replace_invalid(text));
    for (const Offset& piece : tokenizer.pieces(text)) {
      const auto begin = static_cast<size_t>(piece.begin);
      const std::string_view part = text.substr(begin, static_cast<size_t>(piece.end) - begin);
      if (!splits_words_) {
        add_parts(part, begin == 0);
      } else if (!words_only_ || word(part) == part.size()) {
        add(part, begin == 0);
      }
    }
  }

  const std::vector<std::string>& terms() const { return terms_; }
  int64_t count(size_t i) const { return counts_[i]; }

 private:
  /// Cuts a piece that holds many words: into words, or before every space.
  void add_parts(std::string_view piece, bool at_start) {
    for (size_t at = 0; at < piece.size();) {
      const std::string_view rest = piece.substr(at);
      size_t length = words_only_ ? word(rest) : std::min(rest.find(' ', 1), rest.size());
      if (length > 0) {
        add(rest.substr(0, length), at_start && at == 0);
      } else {
        length = sequence_length(rest.front());
      }
      at += length;
    }
  }

  void add(std::string_view term, bool at_start) {
    if (term.empty() || term.size() >= kMaxTermBytes) return;
    std::string spaced;
    if (at_start && prepends_space_ && !term.starts_with(' '))
      term = spaced.append(" ").append(term);
    const int64_t known = table_.find(term);
    if (known >= 0) {
      ++counts_[static_cast<size_t>(known)];
      return;
    }
    table_.insert(term, static_cast<uint32_t>(terms_.size()));
    terms_.emplace_back(term);
    counts_.push_back(1);
  }

  const bool words_only_, splits_words_, prepends_space_;
  StringTable table_;  ///< term -> index
  std::vector<std::string> terms_;
  std::vector<int64_t> counts_;
};

}  // namespace

std::vector<TermCandidate> mine_terms(const Tokenizer& tokenizer,
                                      const std::vector<std::string>& texts,
                                      const MineOptions& options) {
  if (options.min_pieces < 2) throw Error("mine_terms: min_pieces must be 2 or more");
  const TermContext context(tokenizer);
  Counter counter(context, options.words_only);
  for (const std::string& text : texts) counter.add_text(tokenizer, text);
  std::vector<TermCandidate> found;
  for (size_t i = 0; i < counter.terms().size(); ++i) {
    const std::string& term = counter.terms()[i];
    const int64_t count = counter.count(i);
    if (count < options.min_count) continue;
    const auto pieces = static_cast<int64_t>(context.look(term).ids.size());
    if (pieces >= options.min_pieces) found.push_back({term, count, pieces, count * (pieces - 1)});
  }
  std::sort(found.begin(), found.end(), [](const TermCandidate& a, const TermCandidate& b) {
    return std::tie(b.saved, a.text) < std::tie(a.saved, b.text);
  });
  const auto most = static_cast<size_t>(std::max<int64_t>(options.max_terms, 0));
  if (found.size() > most) found.erase(found.begin() + static_cast<int64_t>(most), found.end());
  return found;
}

std::vector<std::string> with_spaced_forms(const Tokenizer& tokenizer,
                                           const std::vector<std::string>& terms) {
  const TermContext context(tokenizer);
  std::vector<std::string> forms;
  for (const std::string& term : terms) {
    forms.push_back(term);
    const std::string spaced = " " + term;
    if (!term.starts_with(' ') && context.look(spaced).one_piece) forms.push_back(spaced);
  }
  return forms;
}

}  // namespace hone::text

#include "hone/eval/answer.h"

#include <algorithm>

#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::eval {
AnswerReader::AnswerReader(std::optional<std::string> after,
                           const std::optional<std::string>& extract)
    : after_(std::move(after)) {
  if (extract) extract_.emplace(*extract);
}

std::optional<std::string> AnswerReader::last_match(const std::string& text) const {
  unicode::MatchScratch scratch;
  unicode::Match match, group;
  std::optional<std::string> last;
  for (size_t from = 0;
       from <= text.size() && extract_->search(text, from, scratch, match, &group);) {
    last = group.begin <= group.end ? text.substr(group.begin, group.end - group.begin) : "";
    from = std::max(match.end, from);
    if (match.begin >= match.end) {  // an empty match: go on behind the next character
      from += from < text.size() ? sequence_length(text[from]) : 1;
    }
  }
  return last;
}

std::optional<std::string> AnswerReader::read(std::string_view text) const {
  std::string answer = replace_invalid(text);
  if (after_) {
    const size_t found = answer.rfind(*after_);
    if (found == std::string::npos) return std::nullopt;
    answer.erase(0, found + after_->size());
  }
  if (extract_) {
    std::optional<std::string> match = last_match(answer);
    if (!match) return std::nullopt;
    answer = std::move(*match);
  }
  return std::string(unicode::py::strip(answer, unicode::py::kBoth));
}

}  // namespace hone::eval

#include "hone/text/detail/regex.h"

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/scanners.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
Regex Regex::compile(const std::string& pattern, const std::string& source,
                     const std::string& where, bool use_scanner) {
  Regex regex;
  regex.text_ = pattern;
  if (use_scanner) regex.scanner_ = known_scanner(pattern);
  std::string translated;
  try {
    translated = translate_pattern(pattern);
  } catch (const Error& error) {
    throw IoError(source, where + ": pattern \"" + shortened(pattern, 200) + "\" " + error.what());
  }
  try {
    regex.compiled_.emplace(
        translated, unicode::PatternOptions{.captures = false, .machine_code = true}, pattern);
  } catch (const Error& error) {
    throw IoError(source, where + ": " + error.what());
  }
  return regex;
}

Regex Regex::literal(std::string text) {
  Regex regex;
  regex.text_ = std::move(text);
  return regex;
}

bool Regex::scan(std::string_view subject, size_t from, Match& match) const {
  const char* begin = subject.data();
  const char* end = begin + subject.size();
  for (const char* p = begin + from; p < end; p += sequence_length(*p)) {
    while (p < end && !scanner_.starts[static_cast<unsigned char>(*p)]) ++p;
    if (p == end) break;
    if (const char* stop = scanner_.scan(p, begin, end)) {
      match = {static_cast<size_t>(p - begin), static_cast<size_t>(stop - begin)};
      return true;
    }
  }
  return false;
}

bool Regex::search(std::string_view subject, size_t from, MatchScratch& scratch,
                   Match& match) const {
  if (scanner_.scan) return scan(subject, from, match);
  if (compiled_) return compiled_->search(subject, from, scratch, match);
  const size_t found = subject.find(text_, from);
  if (found == std::string_view::npos) return false;
  match = {found, found + text_.size()};
  return true;
}

}  // namespace hone::text::detail

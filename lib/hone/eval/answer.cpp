#include "hone/eval/answer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "hone/core/error.h"
#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::eval {
namespace {

constexpr uint32_t kMatchLimit = 5'000'000;  // as for patterns of tokenizers
constexpr uint32_t kHeapLimitKiB = 64 << 10;

PCRE2_SPTR units(const std::string& text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

std::shared_ptr<const void> compile(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(units(pattern), pattern.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                    &error, &offset, nullptr);
  if (!code) {
    throw Error("the pattern \"" + pattern.substr(0, 200) +
                "\" does not compile: " + message(error) + " at byte " + std::to_string(offset));
  }
  return {code,
          [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); }};
}

}  // namespace

AnswerReader::AnswerReader(std::optional<std::string> after,
                           const std::optional<std::string>& extract)
    : after_(std::move(after)) {
  if (!extract) return;
  pattern_ = *extract;
  code_ = compile(pattern_);
}

std::optional<std::string> AnswerReader::last_match(const std::string& text) const {
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKiB);
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  std::optional<std::string> last;
  for (size_t from = 0; from <= text.size();) {
    const int found = pcre2_match(code, units(text), text.size(), from, PCRE2_NO_UTF_CHECK,
                                  data.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw Error("the pattern \"" + pattern_.substr(0, 200) + "\" ran over its limit on " +
                  std::to_string(text.size()) + " bytes of text: " + message(found));
    }
    const size_t* ends = pcre2_get_ovector_pointer(data.get());
    const size_t group = found > 1 && ends[2] != PCRE2_UNSET ? 1 : 0;
    const size_t begin = ends[2 * group], end = ends[2 * group + 1];
    last = begin <= end ? text.substr(begin, end - begin) : "";
    from = ends[1] > from ? ends[1] : from;
    if (ends[0] >= ends[1]) {  // an empty match: go on behind the next character
      from += from < text.size() ? unicode::sequence_length(text[from]) : 1;
    }
  }
  return last;
}

std::optional<std::string> AnswerReader::read(std::string_view text) const {
  std::string answer = unicode::replace_invalid(text);
  if (after_) {
    const size_t found = answer.rfind(*after_);
    if (found == std::string::npos) return std::nullopt;
    answer.erase(0, found + after_->size());
  }
  if (code_) {
    std::optional<std::string> match = last_match(answer);
    if (!match) return std::nullopt;
    answer = std::move(*match);
  }
  return std::string(unicode::python_strip(answer));
}

}  // namespace hone::eval

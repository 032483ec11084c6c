#include "hone/text/detail/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstring>

#include "hone/core/error.h"
#include "hone/text/detail/scanners.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

// A match that backtracks more than this is a mistake or an attack: some 50 ms of work.
constexpr uint32_t kMatchLimit = 5'000'000;
constexpr uint32_t kHeapLimitKiB = 64 << 10;

std::string pcre2_message(int code) {
  unsigned char text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

pcre2_code* compile_pcre2(const std::string& pattern, int& error, size_t& offset) {
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
                       &error, &offset, context.get());
}

}  // namespace

struct MatchScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 1 << 20, nullptr);
  Impl() {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Impl() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

MatchScratch::MatchScratch() : impl_(std::make_unique<Impl>()) {}
MatchScratch::~MatchScratch() = default;

Regex Regex::compile(const std::string& pattern, const std::string& source,
                     const std::string& where, bool use_scanner) {
  const auto fail = [&](const std::string& reason) -> void {
    const std::string shown = pattern.size() > 200 ? pattern.substr(0, 200) + "..." : pattern;
    throw IoError(source, where + ": pattern \"" + shown + "\" " + reason);
  };
  Regex regex;
  regex.text_ = pattern;
  if (use_scanner) regex.scanner_ = known_scanner(pattern);
  std::string translated;
  try {
    translated = translate_pattern(pattern);
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    fail(error.what());
  }
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = compile_pcre2(translated, error, offset);
  if (!code) fail("does not compile: " + pcre2_message(error));
  regex.code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  // Without JIT (hardened kernels) pcre2_match falls back to its interpreter.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
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
  for (const char* p = begin + from; p < end; p += unicode::sequence_length(*p)) {
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
  if (!code_) {
    const size_t found = subject.find(text_, from);
    if (found == std::string_view::npos) return false;
    match = {found, found + text_.size()};
    return true;
  }
  MatchScratch::Impl& impl = scratch.impl();
  const int found = pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                                reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), from,
                                PCRE2_NO_UTF_CHECK, impl.data, impl.context);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    throw Error("tokenizer: pattern \"" + text_.substr(0, 200) + "\" ran over its limit on " +
                std::to_string(subject.size()) + " bytes of text: " + pcre2_message(found) +
                "; shorten the text or mend the pattern");
  }
  const size_t* ends = pcre2_get_ovector_pointer(impl.data);
  match = {ends[0], ends[1]};
  return true;
}

}  // namespace hone::text::detail

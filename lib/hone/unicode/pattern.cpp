#include "hone/unicode/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "hone/core/error.h"
#include "hone/core/utf8.h"

namespace hone::unicode {
namespace {

constexpr size_t kShownBytes = 200;

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

uint32_t bits(const PatternOptions& options) {
  uint32_t bits = PCRE2_UTF;
  if (options.whole) bits |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
  if (options.unicode_classes) bits |= PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  if (!options.captures) bits |= PCRE2_NO_AUTO_CAPTURE;
  return bits;
}

}  // namespace

struct MatchScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(2, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 1 << 20, nullptr);
  Impl() { pcre2_jit_stack_assign(context, nullptr, stack); }
  ~Impl() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

MatchScratch::MatchScratch() : impl_(std::make_unique<Impl>()) {}
MatchScratch::~MatchScratch() = default;

Pattern::Pattern(const std::string& pattern, const PatternOptions& options, std::string shown)
    : options_(options), shown_(shown.empty() ? pattern : std::move(shown)) {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code =
      pcre2_compile(units(pattern), pattern.size(), bits(options), &error, &offset, context.get());
  if (!code) {
    const std::string place = shown_ == pattern ? " at byte " + std::to_string(offset) : "";
    throw Error("pattern \"" + shortened(shown_, kShownBytes) +
                "\" does not compile: " + message(error) + place);
  }
  code_ = {code,
           [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); }};
  // Where the JIT is not to be had (hardened kernels), pcre2_match interprets.
  if (options.machine_code) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

bool Pattern::search(std::string_view subject, size_t from, MatchScratch& scratch, Match& match,
                     Match* group) const {
  MatchScratch::Impl& impl = *scratch.impl_;
  pcre2_set_match_limit(impl.context, options_.match_limit);
  pcre2_set_heap_limit(impl.context, options_.heap_limit_kib);
  const int found = pcre2_match(static_cast<const pcre2_code*>(code_.get()), units(subject),
                                subject.size(), from, PCRE2_NO_UTF_CHECK, impl.data, impl.context);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    throw Error("pattern \"" + shortened(shown_, kShownBytes) + "\" ran over its limit on " +
                std::to_string(subject.size()) + " bytes of text: " + message(found) +
                "; shorten the text or mend the pattern");
  }
  const size_t* ends = pcre2_get_ovector_pointer(impl.data);
  match = {ends[0], ends[1]};
  // 0: there were more groups than the two pairs hold.
  const bool held = (found == 0 || found > 1) && ends[2] != PCRE2_UNSET;
  if (group) *group = held ? Match{ends[2], ends[3]} : match;
  return true;
}

bool Pattern::matches(std::string_view subject) const {
  MatchScratch scratch;
  Match match;
  return search(subject, 0, scratch, match);
}

}  // namespace hone::unicode

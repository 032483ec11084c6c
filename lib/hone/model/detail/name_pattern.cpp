#define PCRE2_CODE_UNIT_WIDTH 8
#include "hone/model/detail/name_pattern.h"

#include <pcre2.h>

#include "hone/core/error.h"

namespace hone::model::detail {
namespace {

constexpr uint32_t kMatchLimit = 100'000;

PCRE2_SPTR units(const std::string& text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message(int code) {
  PCRE2_UCHAR text[128];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

NamePattern::NamePattern(const std::string& pattern, Match match) : pattern_(pattern) {
  const std::string whole =
      match == Match::kWhole ? "(?:" + pattern + ")" : "(?:.*\\.)?(?:" + pattern + ")";
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(units(whole), whole.size(), PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF,
                    &error, &offset, nullptr);
  if (!code) throw Error("pattern \"" + pattern + "\": " + message(error));
  code_ = {code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); }};
}

bool NamePattern::matches(const std::string& name) const {
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  const int found = pcre2_match(code, units(name), name.size(), 0, 0, data.get(), context.get());
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  throw Error("pattern \"" + pattern_ + "\" on \"" + name + "\": " + message(found));
}

}  // namespace hone::model::detail

#include "hone/text/detail/normalize.h"

#include <utf8proc.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "hone/core/error.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

struct Range {
  char32_t first, last;
};

constexpr Range kLater[] = {
#include "hone/text/detail/normalize_later.inc"
};

int combining_class(char32_t c) {
  if (is_later(c)) return 0;
  return static_cast<int>(utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class);
}

struct Pending {
  Change change;
  int combining;
  size_t position;
};

/// Composed form of two code points, if there is one.
std::optional<char32_t> compose_pair(char32_t a, char32_t b) {
  if (b < 0x300) return std::nullopt;
  utf8proc_int32_t pair[2] = {static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  if (utf8proc_normalize_utf32(pair, 2, options) != 1) return std::nullopt;
  if (is_later(static_cast<char32_t>(pair[0]))) return std::nullopt;
  return static_cast<char32_t>(pair[0]);
}

/// Sorts a run of marks by class, equal ones in the order they came.
void sort_marks(std::vector<Pending>& chars, size_t from) {
  std::sort(chars.begin() + static_cast<ptrdiff_t>(from), chars.end(),
            [](const Pending& a, const Pending& b) {
              return std::tie(a.combining, a.position) < std::tie(b.combining, b.position);
            });
}

std::vector<Pending> decompose(std::string_view text, bool compatibility) {
  const auto options = static_cast<utf8proc_option_t>(
      compatibility ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE);
  std::vector<Pending> chars;
  chars.reserve(text.size());
  size_t marks = 0;  // where the current run of marks begins
  utf8proc_int32_t parts[32];
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    int boundary = 0;
    utf8proc_ssize_t count = 1;
    parts[0] = static_cast<utf8proc_int32_t>(next_char(p));
    if (!is_later(static_cast<char32_t>(parts[0]))) {
      count = utf8proc_decompose_char(parts[0], parts, 32, options, &boundary);
    }
    if (count < 0 || count > 32) throw Error("tokenizer: a character does not decompose");
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      const auto c = static_cast<char32_t>(parts[i]);
      const int combining = combining_class(c);
      if (combining == 0) {
        sort_marks(chars, marks);
        marks = chars.size() + 1;
      }
      chars.push_back({{c, i > 0 ? 1 : 0}, combining, chars.size()});
    }
  }
  sort_marks(chars, marks);
  return chars;
}

std::vector<Change> recompose(const std::vector<Pending>& chars) {
  std::vector<Change> out;
  out.reserve(chars.size());
  std::optional<size_t> base;  // index in `out` of the last starter
  int last_class = -1;         // class of the last mark kept behind it, -1 if none
  for (const Pending& next : chars) {
    if (base && (last_class < 0 || last_class < next.combining)) {
      Change& composee = out[*base];
      if (const auto composed = compose_pair(composee.c, next.change.c)) {
        composee = {*composed, composee.change + next.change.change - 1};
        continue;
      }
    }
    if (next.combining == 0) {
      base = out.size();
      last_class = -1;
    } else if (base) {
      last_class = next.combining;
    }
    out.push_back(next.change);
  }
  return out;
}

/// One bit per code point that NFC leaves alone whatever stands before it.
std::vector<bool> make_stable_table() {
  std::vector<bool> stable(unicode::kCodePoints, true);
  for (char32_t c = 0x300; c < unicode::kCodePoints; ++c) {
    const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
    const bool hangul_vowel_or_tail = (c >= 0x1161 && c <= 0x1175) || (c >= 0x11A8 && c <= 0x11C2);
    // comb_index of 0x8000 and above: may be the second of a composed pair.
    const bool joins = property->comb_index != UINT16_MAX && (property->comb_index & 0x8000) != 0;
    bool fixed = combining_class(c) == 0 && !joins && !hangul_vowel_or_tail;
    if (fixed && property->decomp_seqindex != UINT16_MAX && property->decomp_type == 0) {
      std::vector<Change> form = normal_form(to_utf8(c), false, true);
      fixed = form.size() == 1 && form[0].c == c;
    }
    stable[c] = fixed;
  }
  return stable;
}

}  // namespace

bool is_later(char32_t c) {
  if (c < std::begin(kLater)->first) return false;
  const auto* range = std::upper_bound(std::begin(kLater), std::end(kLater), c,
                                       [](char32_t x, const Range& r) { return x < r.first; });
  return c <= (range - 1)->last;
}

bool is_surely_nfc(std::string_view text) {
  static const std::vector<bool> stable = make_stable_table();
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    // Characters below U+0300 start with a byte below 0xCC.
    if (static_cast<unsigned char>(*p) < 0xCC) {
      ++p;
    } else if (!stable[next_char(p)]) {
      return false;
    }
  }
  return true;
}

std::vector<Change> normal_form(std::string_view text, bool compatibility, bool compose) {
  const std::vector<Pending> chars = decompose(text, compatibility);
  if (compose) return recompose(chars);
  std::vector<Change> out;
  out.reserve(chars.size());
  for (const Pending& pending : chars) out.push_back(pending.change);
  return out;
}

std::vector<Change> lower_case(std::string_view text) {
  std::vector<Change> out;
  out.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char32_t c = next_char(p);
    if (c == 0x130) {  // the one character whose lower case is two
      out.push_back({'i', 0});
      out.push_back({0x307, 1});
    } else {
      out.push_back({unicode::lower_of(c), 0});
    }
  }
  return out;
}

}  // namespace hone::text::detail

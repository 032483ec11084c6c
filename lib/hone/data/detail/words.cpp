#include "hone/data/detail/words.h"

#include <utf8proc.h>

#include <algorithm>
#include <optional>

#include "hone/core/utf8.h"
#include "hone/data/detail/characters.h"
#include "hone/unicode/unicode.h"

namespace hone::data::detail {
namespace {

int64_t size_of(std::string_view text) { return static_cast<int64_t>(text.size()); }

bool is_fence(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  return line.substr(begin).starts_with("```") || line.substr(begin).starts_with("~~~");
}

/// Lines of code: between fences (to the end where none closes), or indented.
std::vector<Span> code_blocks(std::string_view text) {
  std::vector<Span> blocks;
  bool fenced = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const std::string_view line = text.substr(begin, end - begin);
    const bool fence = is_fence(line);
    const bool indented = line.starts_with("    ") || line.starts_with("\t");
    if (fenced || fence || indented) {
      const Span span{static_cast<int64_t>(begin), static_cast<int64_t>(end)};
      if (!blocks.empty() && blocks.back().end == span.begin) {
        blocks.back().end = span.end;
      } else {
        blocks.push_back(span);
      }
    }
    if (fence) fenced = !fenced;
    begin = end;
  }
  return blocks;
}

/// Inline code in text[begin, end): from a run of backquotes to the next run as long.
void add_inline_code(std::string_view text, int64_t begin, int64_t end, std::vector<Span>& code) {
  const auto run_at = [&](int64_t at) {
    int64_t length = 0;
    while (at + length < end && text[at + length] == '`') ++length;
    return length;
  };
  for (int64_t at = begin; at < end; ++at) {
    const int64_t ticks = run_at(at);
    if (ticks == 0) continue;
    int64_t close = at + ticks;
    for (int64_t run = 0; close < end; close += std::max<int64_t>(run, 1)) {
      run = run_at(close);
      if (run == ticks) break;
    }
    if (close < end) code.push_back({at, close + ticks});
    at = (close < end ? close + ticks : at + ticks) - 1;
  }
}

std::vector<Span> find_code(std::string_view text) {
  std::vector<Span> code;
  int64_t at = 0;
  for (const Span& block : code_blocks(text)) {
    add_inline_code(text, at, block.begin, code);
    code.push_back(block);
    at = block.end;
  }
  add_inline_code(text, at, size_of(text), code);
  return code;
}

enum class Kind { kSpace, kUnspaced, kOther };

/// A maximal run of characters of one kind.
struct Chunk {
  Span span;
  Kind kind = Kind::kOther;
};

std::vector<Chunk> split(std::string_view text, Span part) {
  std::vector<Chunk> chunks;
  for (int64_t at = part.begin; at < part.end;) {
    const auto [code, length] = character_at(text, at);
    const bool valid = code != Character::kInvalid;
    const Kind kind = valid && unicode::is_space(code)   ? Kind::kSpace
                      : valid && has_no_boundaries(code) ? Kind::kUnspaced
                                                         : Kind::kOther;
    if (chunks.empty() || chunks.back().kind != kind) chunks.push_back({{at, at}, kind});
    at = std::min(at + static_cast<int64_t>(length), part.end);
    chunks.back().span.end = at;
  }
  return chunks;
}

bool is_upper(uint32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}
bool is_lower(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_LL;
}

/// Whether a chunk looks like a number, an address, an identifier or markup.
bool is_kept(std::string_view chunk) {
  constexpr std::string_view kMarks = "0123456789_/\\@<>{}[]=#$%^*+|~&`";
  uint32_t before = ' ', joint = 0;  // the last letter, and a . : ( right after it
  for (size_t at = 0; at < chunk.size();) {
    const auto [code, length] = character_at(chunk, at);
    at += length;
    if (code == Character::kInvalid) return true;
    if (code < 0x80 && kMarks.find(static_cast<char>(code)) != std::string_view::npos) return true;
    if (is_word(code) && !is_letter(code)) return true;  // digits of other scripts
    if (!is_letter(code)) {
      const bool joins = code == '.' || code == ':' || code == '(';
      if (code == '(' && is_letter(before)) return true;
      joint = joins && (is_letter(before) || joint != 0) ? code : 0;
    } else if (joint != 0 || (is_lower(before) && is_upper(code))) {
      return true;
    }
    before = code;
  }
  return false;
}

/// Letters, with apostrophes and hyphens between them.
void add_words(std::string_view text, Span chunk, std::vector<Word>& words) {
  std::optional<Span> word;
  const auto flush = [&] {
    if (word) words.push_back({*word, false});
    word.reset();
  };
  for (int64_t at = chunk.begin; at < chunk.end;) {
    const auto [code, length] = character_at(text, at);
    const int64_t end = at + static_cast<int64_t>(length);
    if (code != Character::kInvalid && is_letter(code)) {
      if (!word) word = Span{at, at};
      word->end = end;
    } else if (!word || at > word->end || (code != '\'' && code != '-' && code != 0x2019)) {
      flush();
    }
    at = end;
  }
  flush();
}

/// A kept chunk without the punctuation around it.
Span trimmed(std::string_view text, Span chunk) {
  constexpr std::string_view kEdges = ".,;:!?()\"'";
  while (chunk.end - chunk.begin > 1 && kEdges.find(text[chunk.end - 1]) != kEdges.npos) {
    --chunk.end;
  }
  while (chunk.end - chunk.begin > 1 && kEdges.find(text[chunk.begin]) != kEdges.npos) {
    ++chunk.begin;
  }
  return chunk;
}

/// Scans what lies between kept stretches.
void scan_prose(std::string_view text, Span part, Scan& scan) {
  for (const Chunk& chunk : split(text, part)) {
    if (chunk.kind == Kind::kSpace) continue;
    if (chunk.kind == Kind::kUnspaced) {
      scan.words.push_back({chunk.span, true});
    } else if (is_kept(text.substr(chunk.span.begin, chunk.span.end - chunk.span.begin))) {
      scan.kept.push_back(trimmed(text, chunk.span));
    } else {
      add_words(text, chunk.span, scan.words);
    }
  }
}

}  // namespace

Scan scan_words(std::string_view text, const std::vector<Span>& free,
                const std::vector<Span>& entities) {
  Scan scan;
  for (const Span& part : free) {
    std::vector<Span> whole = find_code(text.substr(part.begin, part.end - part.begin));
    for (Span& code : whole) code = {code.begin + part.begin, code.end + part.begin};
    for (const Span& entity : entities) {
      const Span inside{std::max(entity.begin, part.begin), std::min(entity.end, part.end)};
      if (inside.begin < inside.end) whole.push_back(inside);
    }
    std::sort(whole.begin(), whole.end(),
              [](const Span& a, const Span& b) { return a.begin < b.begin; });
    int64_t at = part.begin;
    for (const Span& kept : whole) {
      if (kept.begin > at) scan_prose(text, {at, kept.begin}, scan);
      const Span rest{std::max(kept.begin, at), kept.end};
      if (rest.begin < rest.end) scan.kept.push_back(rest);
      at = std::max(at, kept.end);
    }
    scan_prose(text, {at, part.end}, scan);
  }
  return scan;
}

}  // namespace hone::data::detail

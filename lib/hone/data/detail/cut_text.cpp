#include "hone/data/detail/cut_text.h"

#include <algorithm>
#include <utility>

namespace hone::data::detail {
namespace {

/// A place between two tokens: the text before it ends at `low`, the text behind begins at `high`.
struct Border {
  size_t index;  ///< of the token behind it
  int64_t low, high;
};

/// Tokens of a document as it stands in a set: a text that was cut has no end added. Tokens added
/// at the end lie behind the text.
Tokens tokens_of(const Document& document, const text::TokenizerFolder& text) {
  Tokens tokens = tokenise(document, text);
  if (document.text.empty()) return tokens;
  const auto size = static_cast<int64_t>(document.text.size());
  for (size_t i = tokens.ids.size(); i > 1 && tokens.offsets[i - 1] == text::Offset{0, 0}; --i) {
    if (document.end || !document.special) {
      tokens.offsets[i - 1] = {size, size};
      continue;
    }
    tokens.ids.pop_back();
    tokens.weights.pop_back();
    tokens.offsets.pop_back();
  }
  return tokens;
}

/// Every border between tokens that no token reaches over.
std::vector<Border> borders_of(const Tokens& tokens) {
  std::vector<Border> borders;
  int64_t end = 0;
  for (size_t i = 1; i < tokens.ids.size(); ++i) {
    end = std::max(end, tokens.offsets[i - 1].end);
    if (tokens.offsets[i].begin >= end) borders.push_back({i, end, tokens.offsets[i].begin});
  }
  return borders;
}

bool is_target(const Tokens& tokens, size_t i) { return i > 0 && tokens.weights[i] > 0; }

/// A text's tokens, some of them the base's, and for each about which of the base's it stands for.
struct Mixed {
  Tokens tokens;
  std::vector<size_t> base_index;
};

/// Takes stretch by stretch what `other` says, or what `base` says where only a part of the stretch
/// is a target there.
class Mixer {
 public:
  Mixer(const Tokens& base, const Tokens& other) : base_(base), other_(other) {}

  Mixed mix() {
    const std::vector<Border> here = borders_of(base_), there = borders_of(other_);
    size_t b = 0;
    for (const Border& border : here) {
      while (b < there.size() && there[b].high < border.low) ++b;
      if (b == there.size()) break;
      if (there[b].low > border.high) continue;
      add(border.index, there[b].index);
      ++b;
    }
    add(base_.ids.size(), other_.ids.size());
    return std::move(mixed_);
  }

 private:
  void add(size_t base_end, size_t other_end) {
    const bool first = is_target(base_, at_);
    bool uniform = true;
    for (size_t i = at_; i < base_end; ++i) uniform = uniform && is_target(base_, i) == first;
    if (uniform) {
      for (size_t i = other_at_; i < other_end; ++i) {
        push(other_.ids[i], first, std::min(at_ + i - other_at_, base_end - 1));
      }
    } else {
      for (size_t i = at_; i < base_end; ++i) push(base_.ids[i], is_target(base_, i), i);
    }
    at_ = base_end;
    other_at_ = other_end;
  }
  void push(int64_t id, bool target, size_t base_index) {
    mixed_.tokens.ids.push_back(id);
    mixed_.tokens.weights.push_back(target ? 1.0F : 0.0F);
    mixed_.base_index.push_back(base_index);
  }

  const Tokens& base_;
  const Tokens& other_;
  size_t at_ = 0, other_at_ = 0;
  Mixed mixed_;
};

}  // namespace

size_t whole_characters(const Tokens& tokens, size_t count) {
  size_t cut = count;
  while (cut > 1 && cut < tokens.ids.size() && tokens.offsets[cut] != text::Offset{0, 0} &&
         tokens.offsets[cut].begin < tokens.offsets[cut - 1].end) {
    --cut;
  }
  return cut;
}

Document cut_behind(const Document& document, const Tokens& tokens, size_t count) {
  int64_t end = 0;
  for (size_t i = 0; i < count; ++i) end = std::max(end, tokens.offsets[i].end);
  Document cut = document;
  cut.text.resize(static_cast<size_t>(end));
  std::erase_if(cut.trained, [&](const Trained& stretch) { return stretch.begin >= end; });
  for (Trained& stretch : cut.trained) stretch.end = std::min(stretch.end, end);
  cut.prompt = std::min(cut.prompt, cut.text.size());
  cut.entities.clear();
  cut.free.clear();
  cut.end = false;
  return cut;
}

std::vector<Example> retokenise(const CutText& cut, const text::TokenizerFolder& base,
                                const text::TokenizerFolder& other) {
  if (!cut.examples.empty()) return cut.examples;
  const Tokens own = tokens_of(cut.document, base);
  const Mixed mixed = Mixer(own, tokens_of(cut.document, other)).mix();
  const size_t count = mixed.tokens.ids.size();
  if (cut.part == 0) return {make_example(mixed.tokens, 0, count, cut.domain)};
  std::vector<Example> examples;
  // As in Encoder: a part begins with a token that is only read there.
  size_t begin = 0;
  for (size_t next = cut.part; begin + 1 < count; next += cut.part - 1) {
    const auto found = std::lower_bound(mixed.base_index.begin(), mixed.base_index.end(), next);
    const auto end = std::max<size_t>(found - mixed.base_index.begin(), begin + 1);
    Example example = make_example(mixed.tokens, begin, end, cut.domain);
    if (example.trained() > 0) examples.push_back(std::move(example));
    if (end >= count) break;
    begin = end - 1;
  }
  return examples;
}

}  // namespace hone::data::detail

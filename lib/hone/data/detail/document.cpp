#include "hone/data/detail/document.h"

#include <algorithm>
#include <utility>

namespace hone::data::detail {
namespace {

void weigh_entities(const Document& document, Tokens& tokens) {
  if (document.entities.empty()) return;
  tokens.in_entity.assign(tokens.ids.size(), false);
  auto span = document.entities.begin();
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    const text::Offset offset = tokens.offsets[i];
    while (span != document.entities.end() && span->end <= offset.begin) ++span;
    if (span == document.entities.end()) return;
    if (tokens.weights[i] <= 0 || offset.end <= span->begin) continue;
    tokens.weights[i] *= document.entity_multiplier;
    tokens.in_entity[i] = true;
  }
}

/// The stretches' parts inside `part`, counted from its beginning.
template <class Stretch>
std::vector<Stretch> clip(const std::vector<Stretch>& stretches, Span part) {
  std::vector<Stretch> clipped;
  for (Stretch stretch : stretches) {
    stretch.begin = std::max(stretch.begin, part.begin) - part.begin;
    stretch.end = std::min(stretch.end, part.end) - part.begin;
    if (stretch.begin < stretch.end) clipped.push_back(stretch);
  }
  return clipped;
}

/// `span` less the word fragments that a cut at `part` left at its ends.
Span without_fragments(std::string_view text, Span span, Span part) {
  const auto blank = [&](int64_t at) { return text[at] == ' ' || text[at] == '\n'; };
  if (span.begin < part.begin) {
    span.begin = part.begin;
    while (span.begin < span.end && !blank(span.begin)) ++span.begin;
  }
  if (span.end > part.end) {
    span.end = part.end;
    while (span.end > span.begin && !blank(span.end - 1)) --span.end;
  }
  return span;
}

bool same(const Example& a, const Example& b) {
  return a.ids == b.ids && a.targets == b.targets && a.weights == b.weights;
}

}  // namespace

bool Document::trained_whole() const {
  int64_t at = 0;
  for (const Trained& stretch : trained) {
    if (stretch.begin > at) return false;
    at = stretch.end;
  }
  return at == static_cast<int64_t>(text.size());
}

Tokens tokenise(const Document& document, const text::TokenizerFolder& text) {
  text::Encoding encoding = text.tokenizer.encode(document.text, document.special);
  Tokens tokens;
  tokens.ids = std::move(encoding.ids);
  tokens.offsets = std::move(encoding.offsets);
  tokens.weights.assign(tokens.ids.size(), 0);
  auto span = document.trained.begin();
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    const auto [begin, end] = tokens.offsets[i];
    while (span != document.trained.end() && span->end <= begin) ++span;
    if (span == document.trained.end()) break;
    if (begin >= span->begin && end <= span->end) tokens.weights[i] = span->weight;
  }
  weigh_entities(document, tokens);
  if (!document.end) return tokens;

  if (tokens.ids.empty() || tokens.ids.back() != *text.eos_id) {
    tokens.ids.push_back(*text.eos_id);
    tokens.weights.push_back(0);
    tokens.offsets.push_back({0, 0});
    if (!tokens.in_entity.empty()) tokens.in_entity.push_back(false);
  }
  tokens.weights.back() = 1;
  return tokens;
}

Example make_example(const Tokens& tokens, size_t begin, size_t end, int32_t domain) {
  Example example;
  example.domain = domain;
  example.ids.assign(tokens.ids.begin() + begin, tokens.ids.begin() + end);
  for (size_t i = begin; i < end; ++i) {
    const bool target = i + 1 < end && tokens.weights[i + 1] > 0;
    example.targets.push_back(target ? tokens.ids[i + 1] : kIgnoreIndex);
    example.weights.push_back(target ? tokens.weights[i + 1] : 0);
  }
  return example;
}

std::shared_ptr<const Source> make_source(const Document& document, const Tokens& tokens,
                                          size_t begin, size_t end, size_t longest,
                                          const text::TokenizerFolder& text) {
  if (begin == 0 && end == tokens.ids.size()) {
    return std::make_shared<const Source>(Source{document, longest});
  }
  Span part{static_cast<int64_t>(document.text.size()), 0};
  for (size_t i = begin; i < end; ++i) {
    if (tokens.offsets[i].end == 0) continue;  // bos, eos
    part.begin = std::min(part.begin, tokens.offsets[i].begin);
    part.end = std::max(part.end, tokens.offsets[i].end);
  }
  if (part.begin >= part.end) return nullptr;
  auto source = std::make_shared<Source>();
  source->longest = longest;
  Document& cut = source->document;  // made anew: a long document has many parts
  cut.text = document.text.substr(part.begin, part.end - part.begin);
  cut.trained = clip(document.trained, part);
  cut.entities = clip(document.entities, part);
  cut.entity_multiplier = document.entity_multiplier;
  for (const Span& span : document.free) {
    cut.free.push_back(without_fragments(document.text, span, part));
  }
  cut.free = clip(cut.free, part);
  cut.special = document.special && begin == 0;
  cut.end = document.end && end == tokens.ids.size();
  const Tokens again = tokenise(cut, text);
  const bool exact =
      same(make_example(again, 0, again.ids.size(), 0), make_example(tokens, begin, end, 0));
  return exact ? source : nullptr;
}

Document edited(const Document& document, const std::vector<Edit>& edits) {
  Document result = document;
  result.text.clear();
  size_t at = 0;
  for (const Edit& edit : edits) {
    result.text.append(document.text, at, edit.span.begin - at);
    result.text += edit.text;
    at = edit.span.end;
  }
  result.text.append(document.text, at);

  const auto moved = [&](int64_t border) {
    int64_t shift = 0;
    for (const Edit& edit : edits) {
      if (edit.span.end > border) break;
      shift += static_cast<int64_t>(edit.text.size()) - (edit.span.end - edit.span.begin);
    }
    return border + shift;
  };
  const auto move = [&](auto& stretches) {
    for (auto& stretch : stretches) {
      stretch.begin = moved(stretch.begin);
      stretch.end = moved(stretch.end);
    }
  };
  std::erase_if(result.entities, [&](const Span& entity) {
    return std::any_of(edits.begin(), edits.end(), [&](const Edit& edit) {
      return edit.span.begin < entity.end && entity.begin < edit.span.end;
    });
  });
  move(result.trained);
  move(result.entities);
  move(result.free);
  result.prompt = moved(static_cast<int64_t>(document.prompt));
  return result;
}

}  // namespace hone::data::detail

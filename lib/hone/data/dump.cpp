#include "hone/data/dump.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "hone/core/json.h"

namespace hone::data {
namespace {

enum class Look { kMasked, kTrained, kWeighted };

struct DumpedToken {
  int64_t id = 0;
  std::string piece;
  int64_t label = kIgnoreIndex;  ///< unshifted: of this token
  float weight = 0;

  Look look() const {
    if (label == kIgnoreIndex) return Look::kMasked;
    return weight == 1 ? Look::kTrained : Look::kWeighted;
  }
};

std::vector<DumpedToken> tokens_of(const Example& example, const text::Tokenizer& tokenizer) {
  std::vector<DumpedToken> tokens;
  for (int64_t i = 0; i < example.length(); ++i) {
    DumpedToken& token = tokens.emplace_back();
    token.id = example.ids[i];
    token.piece = tokenizer.has_id(token.id) ? tokenizer.id_to_token(token.id) : "";
    if (i == 0 || example.targets[i - 1] == kIgnoreIndex) continue;
    token.label = example.targets[i - 1];
    token.weight = example.weights[i - 1];
  }
  return tokens;
}

size_t count_of(const std::vector<Example>& examples, const DumpOptions& options) {
  const size_t all = examples.size();
  return options.documents == 0 ? all : std::min(all, static_cast<size_t>(options.documents));
}

std::string number(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
}

/// A stretch of tokens that look alike, decoded, in colour or between marks.
std::string stretch(const std::vector<int64_t>& ids, Look look, const text::Tokenizer& tokenizer,
                    bool color) {
  struct Style {
    const char *color, *open, *close;
  };
  static constexpr Style kStyles[] = {
      {"\x1b[90m", "", ""}, {"\x1b[32m", "[[", "]]"}, {"\x1b[33m", "{{", "}}"}};
  const Style& style = kStyles[static_cast<int>(look)];
  const std::string text = tokenizer.decode(ids, false);
  return color ? style.color + text + "\x1b[0m" : style.open + text + style.close;
}

}  // namespace

void dump_text(std::ostream& out, const std::vector<Example>& examples,
               const text::Tokenizer& tokenizer, const DumpOptions& options) {
  for (size_t index = 0; index < count_of(examples, options); ++index) {
    const Example& example = examples[index];
    const std::vector<DumpedToken> tokens = tokens_of(example, tokenizer);
    out << "document " << index << ": " << example.length() << " tokens, " << example.trained()
        << " trained, domain " << example.domain << "\n";
    for (auto begin = tokens.begin(); begin != tokens.end();) {
      const Look look = begin->look();
      const auto end = std::find_if(begin, tokens.end(),
                                    [&](const DumpedToken& token) { return token.look() != look; });
      std::vector<int64_t> ids;
      for (auto token = begin; token != end; ++token) ids.push_back(token->id);
      out << stretch(ids, look, tokenizer, options.color);
      begin = end;
    }
    out << "\n";
    for (size_t i = 0; i < tokens.size(); ++i) {
      const DumpedToken& token = tokens[i];
      out << i << "\t" << token.id << "\t" << Json(token.piece).dump() << "\t" << token.label
          << "\t" << number(token.weight) << "\n";
    }
    out << "\n";
  }
}

void dump_jsonl(std::ostream& out, const std::vector<Example>& examples,
                const text::Tokenizer& tokenizer, const DumpOptions& options) {
  for (size_t index = 0; index < count_of(examples, options); ++index) {
    const Example& example = examples[index];
    Json row = {{"ids", example.ids},         {"pieces", Json::array()},
                {"labels", Json::array()},    {"weights", Json::array()},
                {"positions", Json::array()}, {"domain", example.domain}};
    for (const DumpedToken& token : tokens_of(example, tokenizer)) {
      row["positions"].push_back(row["positions"].size());
      row["pieces"].push_back(token.piece);
      row["labels"].push_back(token.label);
      row["weights"].push_back(token.weight);
    }
    out << row.dump() << "\n";
  }
}

}  // namespace hone::data

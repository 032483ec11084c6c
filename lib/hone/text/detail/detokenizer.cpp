#include "hone/text/detail/detokenizer.h"

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/normalizer.h"
#include "hone/text/detail/pre_tokenizer.h"

namespace hone::text::detail {
namespace {

constexpr size_t kMaxSteps = 64;
// Steps that write more than this many times the tokens' bytes are an attack.
constexpr size_t kMaxGrowth = 64;

size_t total_bytes(const std::vector<std::string>& tokens) {
  size_t total = 0;
  for (const std::string& token : tokens) total += token.size() + 1;
  return total;
}

class ByteLevelStep : public DetokenizerStep {
 public:
  void apply(std::vector<std::string>& tokens, MatchScratch&) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const size_t before = bytes.size();
      for (const char *p = token.data(), *end = p + token.size(); p < end;) {
        const int byte = char_to_byte(next_char(p));
        if (byte < 0) {  // not of the byte alphabet (an added token): stands for itself
          bytes.resize(before);
          bytes += token;
          break;
        }
        bytes += static_cast<char>(byte);
      }
    }
    tokens.assign(1, replace_invalid(bytes));
  }
};

class MetaspaceStep : public DetokenizerStep {
 public:
  MetaspaceStep(std::string replacement, bool drops_first)
      : replacement_(std::move(replacement)), drops_first_(drops_first) {}

  void apply(std::vector<std::string>& tokens, MatchScratch&) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const char* space = i == 0 && drops_first_ ? "" : " ";
      std::string out;
      size_t done = 0, found = 0;
      const std::string& token = tokens[i];
      while ((found = token.find(replacement_, done)) != std::string::npos) {
        out.append(token, done, found - done).append(space);
        done = found + replacement_.size();
      }
      out.append(token, done);
      tokens[i] = std::move(out);
    }
  }

 private:
  std::string replacement_;
  bool drops_first_;
};

class ReplaceStep : public DetokenizerStep {
 public:
  ReplaceStep(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(std::vector<std::string>& tokens, MatchScratch& scratch) const override {
    const size_t limit = kMaxGrowth * total_bytes(tokens) + (1 << 20);
    size_t written = 0;
    for (std::string& token : tokens) {
      std::string out;
      pattern_.split(token, scratch, [&](size_t begin, size_t end, bool is_match) {
        if (written + out.size() > limit) {
          throw Error("tokenizer: the Replace decoder makes more than 64 times the tokens' text");
        }
        if (is_match) {
          out += content_;
        } else {
          out.append(token, begin, end - begin);
        }
      });
      written += out.size();
      token = std::move(out);
    }
  }

 private:
  Regex pattern_;
  std::string content_;
};

/// Joins runs of tokens <0xNN> to the characters whose bytes they are.
class ByteFallback : public DetokenizerStep {
 public:
  void apply(std::vector<std::string>& tokens, MatchScratch&) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (is_utf8(bytes)) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), to_utf8(kReplacement));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      const int byte = byte_of(token);
      if (byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens.swap(out);
  }

 private:
  static int digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  }

  static int byte_of(const std::string& token) {
    if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>') return -1;
    const int high = token[3] == '+' ? 0 : digit(token[3]);  // Rust's integers may have a plus
    const int low = digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }
};

class Fuse : public DetokenizerStep {
 public:
  void apply(std::vector<std::string>& tokens, MatchScratch&) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

/// Takes up to `start` and `stop` times one character off a token's ends.
class StripStep : public DetokenizerStep {
 public:
  StripStep(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void apply(std::vector<std::string>& tokens, MatchScratch&) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start_ && rest.substr(0, content_.size()) == content_; ++i) {
        rest.remove_prefix(content_.size());
      }
      for (int64_t i = 0; i < stop_ && ends_with(rest); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  bool ends_with(std::string_view text) const {
    return text.size() >= content_.size() && text.substr(text.size() - content_.size()) == content_;
  }

  std::string content_;
  int64_t start_, stop_;
};

void parse_into(const Json& json, const std::string& source, const std::string& where,
                std::vector<std::shared_ptr<const DetokenizerStep>>& steps) {
  Keys keys(json, source, where);
  const std::string type = keys.text("type").value_or("");
  if (steps.size() >= kMaxSteps) keys.problem("more than 64 steps");
  if (type == "Sequence") {
    const Json& list = keys.required_list("decoders");
    for (size_t i = 0; i < list.size(); ++i) {
      parse_into(list[i], source, where + "/decoders/" + std::to_string(i), steps);
    }
  } else if (type == "ByteLevel") {
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) {
      keys.flag(key).value_or(true);  // of the pre-tokenizer of the same name
    }
    steps.push_back(std::make_shared<ByteLevelStep>());
  } else if (type == "Metaspace") {
    const Metaspace metaspace = parse_metaspace(keys);
    steps.push_back(std::make_shared<MetaspaceStep>(metaspace.replacement,
                                                    metaspace.scheme != PrependScheme::kNever));
  } else if (type == "Replace") {
    Regex pattern = parse_pattern(keys.required_object("pattern"), source, where + "/pattern");
    steps.push_back(
        std::make_shared<ReplaceStep>(std::move(pattern), keys.required_text("content")));
  } else if (type == "ByteFallback") {
    steps.push_back(std::make_shared<ByteFallback>());
  } else if (type == "Fuse") {
    steps.push_back(std::make_shared<Fuse>());
  } else if (type == "Strip") {
    const std::string content = to_utf8(keys.required_character("content"));
    const int64_t start = keys.required_integer("start", 0, INT32_MAX);
    steps.push_back(
        std::make_shared<StripStep>(content, start, keys.required_integer("stop", 0, INT32_MAX)));
  } else {
    keys.problem("unknown decoder \"" + type + "\"");
  }
  keys.done();
}

}  // namespace

Detokenizer Detokenizer::parse(const Json& json, const std::string& source) {
  Detokenizer detokenizer;
  detokenizer.joins_by_space_ = json.is_null();
  if (!json.is_null()) parse_into(json, source, "/decoder", detokenizer.steps_);
  return detokenizer;
}

std::string Detokenizer::decode(std::vector<std::string> tokens, MatchScratch& scratch) const {
  for (const auto& step : steps_) step->apply(tokens, scratch);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (joins_by_space_ && i > 0) text += ' ';
    text += tokens[i];
  }
  return text;
}

}  // namespace hone::text::detail

#include "hone/text/detail/normalizer.h"

#include "hone/core/keys.h"
#include "hone/text/detail/normalize.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

constexpr size_t kMaxSteps = 64;

class UnicodeForm : public NormalizerStep {
 public:
  UnicodeForm(bool compatibility, bool compose)
      : compatibility_(compatibility), compose_(compose) {}

  void apply(Buffer& buffer, MatchScratch&) const override {
    const bool ascii = is_ascii(buffer.text());
    if (ascii || (!compatibility_ && compose_ && is_surely_nfc(buffer.text()))) return;
    buffer.apply(normal_form(buffer.text(), compatibility_, compose_), 0);
  }

 private:
  static bool is_ascii(std::string_view text) {
    for (const char c : text) {
      if (static_cast<unsigned char>(c) >= 0x80) return false;
    }
    return true;
  }

  bool compatibility_, compose_;
};

class Lowercase : public NormalizerStep {
 public:
  void apply(Buffer& buffer, MatchScratch&) const override {
    buffer.apply(lower_case(buffer.text()), 0);
  }
};

class Prepend : public NormalizerStep {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}

  void apply(Buffer& buffer, MatchScratch&) const override {
    const size_t size = buffer.text().size();
    if (size == 0 || text_.empty()) return;
    buffer.start();
    buffer.insert(text_, 0);
    buffer.copy(0, size);
    buffer.finish();
  }

 private:
  std::string text_;
};

class Replace : public NormalizerStep {
 public:
  Replace(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(Buffer& buffer, MatchScratch& scratch) const override {
    const std::vector<ByteRange> spans = find_spans(pattern_, buffer.text(), scratch);
    if (!spans.empty()) buffer.replace(spans, content_);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class Strip : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void apply(Buffer& buffer, MatchScratch&) const override {
    const uint8_t* classes = unicode::char_classes();
    const std::string_view text = buffer.text();
    const char* begin = text.data();
    const char* end = begin + text.size();
    while (left_ && begin < end) {
      const char* next = begin;
      if (!(classes[next_char(next)] & unicode::kSpace)) break;
      begin = next;
    }
    while (right_ && end > begin) {
      const char* last = previous_start(end);
      const char* p = last;
      if (!(classes[next_char(p)] & unicode::kSpace)) break;
      end = last;
    }
    buffer.crop(static_cast<size_t>(begin - text.data()), static_cast<size_t>(end - text.data()));
  }

 private:
  bool left_, right_;
};

class StripAccents : public NormalizerStep {
 public:
  void apply(Buffer& buffer, MatchScratch&) const override {
    const uint8_t* classes = unicode::char_classes();
    const std::string_view text = buffer.text();
    buffer.start();
    for (size_t i = 0; i < text.size();) {
      const char* p = text.data() + i;
      const size_t next = i + sequence_length(*p);
      const char32_t c = next_char(p);
      // U+1CF2 and U+1CF3 were marks in Unicode 9.
      const bool was_mark = c == 0x1CF2 || c == 0x1CF3;
      if (!was_mark && (!(classes[c] & unicode::kMark) || is_later(c))) buffer.copy(i, next);
      i = next;
    }
    buffer.finish();
  }
};

using Steps = std::vector<std::shared_ptr<const NormalizerStep>>;

void parse_into(const Json& json, const std::string& source, const std::string& where,
                Steps& steps) {
  Keys keys(json, source, where);
  const std::string type = keys.text("type").value_or("");
  if (steps.size() >= kMaxSteps) keys.problem("more than 64 steps");
  if (type == "Sequence") {
    const Json& list = keys.required_list("normalizers");
    for (size_t i = 0; i < list.size(); ++i) {
      parse_into(list[i], source, where + "/normalizers/" + std::to_string(i), steps);
    }
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    steps.push_back(std::make_shared<UnicodeForm>(type.size() == 4, type.back() == 'C'));
  } else if (type == "Lowercase") {
    steps.push_back(std::make_shared<Lowercase>());
  } else if (type == "Prepend") {
    steps.push_back(std::make_shared<Prepend>(keys.required_text("prepend")));
  } else if (type == "Replace") {
    Regex pattern = parse_pattern(keys.required_object("pattern"), source, where + "/pattern");
    steps.push_back(std::make_shared<Replace>(std::move(pattern), keys.required_text("content")));
  } else if (type == "Strip") {
    const bool left = keys.required_flag("strip_left");
    steps.push_back(std::make_shared<Strip>(left, keys.required_flag("strip_right")));
  } else if (type == "StripAccents") {
    steps.push_back(std::make_shared<StripAccents>());
  } else {
    keys.problem("unknown normalizer \"" + type + "\"");
  }
  keys.done();
}

}  // namespace

Normalizer Normalizer::parse(const Json& json, const std::string& source) {
  Normalizer normalizer;
  if (!json.is_null()) parse_into(json, source, "/normalizer", normalizer.steps_);
  return normalizer;
}

Regex parse_pattern(const Json& json, const std::string& source, const std::string& where) {
  Keys keys(json, source, where);
  const auto literal = keys.text("String");
  const auto regex = keys.text("Regex");
  keys.done();
  if (literal.has_value() == regex.has_value()) {
    keys.problem("expected one of {\"String\": ...} and {\"Regex\": ...}");
  }
  return literal ? Regex::literal(*literal) : Regex::compile(*regex, source, where);
}

std::vector<ByteRange> find_spans(const Regex& pattern, std::string_view text,
                                  MatchScratch& scratch) {
  std::vector<ByteRange> spans;
  pattern.split(text, scratch, [&spans](size_t begin, size_t end, bool is_match) {
    if (is_match) spans.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  });
  return spans;
}

}  // namespace hone::text::detail

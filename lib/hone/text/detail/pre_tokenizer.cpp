#include "hone/text/detail/pre_tokenizer.h"

#include <algorithm>
#include <array>

#include "hone/core/keys.h"
#include "hone/text/detail/normalizer.h"
#include "hone/text/detail/scanners.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

constexpr size_t kMaxSteps = 64;

enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

ByteRange span(size_t begin, size_t end) {
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
}

/// Collects the parts that a delimiter cuts a piece into and joins them as the behaviour says.
class Cutter {
 public:
  Cutter(Behavior behavior, std::vector<ByteRange>& out) : behavior_(behavior), out_(out) {}

  /// Starts a piece whose byte 0 is byte `base` of the buffer.
  void start(uint32_t base) {
    base_ = base;
    first_ = out_.size();
    previous_match_ = false;
    open_match_ = false;
  }

  void part(size_t begin, size_t end, bool is_match) {
    const ByteRange next{base_ + static_cast<uint32_t>(begin), base_ + static_cast<uint32_t>(end)};
    const bool any = out_.size() > first_;
    switch (behavior_) {
      case Behavior::kIsolated:
        push(next);
        break;
      case Behavior::kRemoved:
        if (!is_match) push(next);
        break;
      case Behavior::kContiguous:
        if (is_match == previous_match_ && any)
          out_.back().end = next.end;
        else
          out_.push_back(next);
        previous_match_ = is_match;
        break;
      case Behavior::kMergedWithPrevious:
        if (is_match && !previous_match_ && any)
          out_.back().end = next.end;
        else
          out_.push_back(next);
        previous_match_ = is_match;
        break;
      case Behavior::kMergedWithNext:
        // A match joins the part behind it, if that is no match.
        if (!is_match && open_match_)
          out_.back().end = next.end;
        else
          out_.push_back(next);
        open_match_ = is_match;
        break;
    }
  }

  /// Ends the piece: drops empty parts, which empty matches leave.
  void finish() {
    const auto begin = out_.begin() + static_cast<ptrdiff_t>(first_);
    out_.erase(std::remove_if(begin, out_.end(), [](ByteRange s) { return s.begin == s.end; }),
               out_.end());
  }

 private:
  void push(ByteRange next) {
    if (next.begin != next.end) out_.push_back(next);
  }

  Behavior behavior_;
  std::vector<ByteRange>& out_;
  size_t first_ = 0;
  uint32_t base_ = 0;
  bool previous_match_ = false;
  bool open_match_ = false;
};

std::string_view text_of(const Segment& segment, ByteRange piece) {
  return segment.buffer.text().substr(piece.begin, piece.end - piece.begin);
}

class Split : public PreTokenizerStep {
 public:
  Split(Regex pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Segment& segment, MatchScratch& scratch) const override {
    segment.spare.clear();
    Cutter cutter(behavior_, segment.spare);
    for (const ByteRange piece : segment.pieces) {
      cutter.start(piece.begin);
      pattern_.split(text_of(segment, piece), scratch,
                     [&](size_t begin, size_t end, bool is_match) {
                       cutter.part(begin, end, is_match != invert_);
                     });
      cutter.finish();
    }
    segment.pieces.swap(segment.spare);
  }

 private:
  Regex pattern_;
  Behavior behavior_;
  bool invert_;
};

/// Cuts wherever a character is of some class: Digits, WhitespaceSplit.
class ClassSplit : public PreTokenizerStep {
 public:
  ClassSplit(uint8_t bits, Behavior behavior) : bits_(bits), behavior_(behavior) {}

  void apply(Segment& segment, MatchScratch&) const override {
    const uint8_t* classes = unicode::char_classes();
    segment.spare.clear();
    Cutter cutter(behavior_, segment.spare);
    for (const ByteRange piece : segment.pieces) {
      const std::string_view text = text_of(segment, piece);
      cutter.start(piece.begin);
      size_t gap = 0;
      const char* p = text.data();
      const char* end = p + text.size();
      while (p < end) {
        const auto at = static_cast<size_t>(p - text.data());
        if (!(classes[next_char(p)] & bits_)) continue;
        if (gap < at) cutter.part(gap, at, false);
        gap = static_cast<size_t>(p - text.data());
        cutter.part(at, gap, true);
      }
      if (gap < text.size()) cutter.part(gap, text.size(), false);
      cutter.finish();
    }
    segment.pieces.swap(segment.spare);
  }

 private:
  uint8_t bits_;
  Behavior behavior_;
};

/// Puts a text before every piece that does not start with it.
class PiecePrefix : public PreTokenizerStep {
 public:
  PiecePrefix(std::string prefix, bool only_at_start)
      : prefix_(std::move(prefix)), only_at_start_(only_at_start) {}

  void apply(Segment& segment, MatchScratch&) const override {
    segment.spare.clear();
    segment.buffer.start();
    for (const ByteRange piece : segment.pieces) {
      const size_t begin = segment.buffer.written();
      if (wants_prefix(segment, piece)) segment.buffer.insert(prefix_, piece.begin);
      segment.buffer.copy(piece.begin, piece.end);
      segment.spare.push_back(span(begin, segment.buffer.written()));
    }
    segment.buffer.finish();
    segment.pieces.swap(segment.spare);
  }

 private:
  bool wants_prefix(const Segment& segment, ByteRange piece) const {
    if (text_of(segment, piece).substr(0, prefix_.size()) == prefix_) return false;
    if (!only_at_start_) return true;
    return segment.at_text_start && segment.buffer.original(piece.begin, piece.end).begin == 0;
  }

  std::string prefix_;
  bool only_at_start_;
};

/// Replaces every space, as Metaspace does first.
class ReplaceSpaces : public PreTokenizerStep {
 public:
  explicit ReplaceSpaces(std::string replacement) : replacement_(std::move(replacement)) {}

  void apply(Segment& segment, MatchScratch&) const override {
    const std::string_view text = segment.buffer.text();
    segment.spare.clear();
    segment.buffer.start();
    for (const ByteRange piece : segment.pieces) {
      const size_t begin = segment.buffer.written();
      size_t done = piece.begin;
      for (size_t i = piece.begin; i < piece.end; ++i) {
        if (text[i] != ' ') continue;
        segment.buffer.copy(done, i);
        segment.buffer.insert(replacement_, i);
        done = i + 1;
      }
      segment.buffer.copy(done, piece.end);
      segment.spare.push_back(span(begin, segment.buffer.written()));
    }
    segment.buffer.finish();
    segment.pieces.swap(segment.spare);
  }

 private:
  std::string replacement_;
};

/// Writes each byte as its printable character.
class MapBytes : public PreTokenizerStep {
 public:
  void apply(Segment& segment, MatchScratch&) const override {
    const std::string_view text = segment.buffer.text();
    segment.spare.clear();
    segment.buffer.start();
    for (const ByteRange piece : segment.pieces) {
      const size_t begin = segment.buffer.written();
      for (size_t i = piece.begin; i < piece.end; ++i) {
        segment.buffer.insert(to_utf8(byte_to_char(static_cast<uint8_t>(text[i]))), i);
      }
      segment.spare.push_back(span(begin, segment.buffer.written()));
    }
    segment.buffer.finish();
    segment.pieces.swap(segment.spare);
  }
};

using Steps = std::vector<std::shared_ptr<const PreTokenizerStep>>;

template <class Step, class... Args>
void add(Steps& steps, Args&&... args) {
  steps.push_back(std::make_shared<Step>(std::forward<Args>(args)...));
}

void parse_byte_level(Keys& keys, Steps& steps) {
  if (keys.required_flag("add_prefix_space")) add<PiecePrefix>(steps, " ", false);
  keys.required_flag("trim_offsets");
  if (keys.flag("use_regex").value_or(true)) {
    add<Split>(steps, Regex::compile(pattern::kGpt2, keys.source(), keys.place()),
               Behavior::kIsolated, false);
  }
  add<MapBytes>(steps);
}

void add_metaspace(Keys& keys, Steps& steps) {
  const Metaspace metaspace = parse_metaspace(keys);
  add<ReplaceSpaces>(steps, metaspace.replacement);
  if (metaspace.scheme != PrependScheme::kNever) {
    add<PiecePrefix>(steps, metaspace.replacement, metaspace.scheme == PrependScheme::kFirst);
  }
  if (metaspace.split) {
    add<Split>(steps, Regex::literal(metaspace.replacement), Behavior::kMergedWithNext, false);
  }
}

void parse_into(const Json& json, const std::string& source, const std::string& where,
                Steps& steps) {
  Keys keys(json, source, where);
  const std::string type = keys.text("type").value_or("");
  if (steps.size() > kMaxSteps) keys.problem("more than 64 steps");
  if (type == "Sequence") {
    const Json& list = keys.required_list("pretokenizers");
    for (size_t i = 0; i < list.size(); ++i) {
      parse_into(list[i], source, where + "/pretokenizers/" + std::to_string(i), steps);
    }
  } else if (type == "Split") {
    Regex pattern = parse_pattern(keys.required_object("pattern"), source, where + "/pattern");
    const size_t behavior = keys.required_choice(
        "behavior", {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"});
    add<Split>(steps, std::move(pattern), static_cast<Behavior>(behavior),
               keys.required_flag("invert"));
  } else if (type == "Digits") {
    const bool each = keys.required_flag("individual_digits");
    add<ClassSplit>(steps, uint8_t{unicode::kNumber},
                    each ? Behavior::kIsolated : Behavior::kContiguous);
  } else if (type == "ByteLevel") {
    parse_byte_level(keys, steps);
  } else if (type == "Metaspace") {
    add_metaspace(keys, steps);
  } else if (type == "Whitespace") {
    add<Split>(steps, Regex::compile(R"(\w+|[^\w\s]+)", source, where), Behavior::kRemoved, true);
  } else if (type == "WhitespaceSplit") {
    add<ClassSplit>(steps, uint8_t{unicode::kSpace}, Behavior::kRemoved);
  } else {
    keys.problem("unknown pre-tokenizer \"" + type + "\"");
  }
  keys.done();
}

struct ByteTable {
  std::array<char32_t, 256> chars;
  std::array<int16_t, 512> bytes;

  ByteTable() {
    bytes.fill(-1);
    char32_t extra = 256;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      chars[b] = printable ? b : extra++;
      bytes[chars[b]] = static_cast<int16_t>(b);
    }
  }
};

const ByteTable kBytes;

}  // namespace

char32_t byte_to_char(uint8_t byte) { return kBytes.chars[byte]; }

int char_to_byte(char32_t c) { return c < kBytes.bytes.size() ? kBytes.bytes[c] : -1; }

Metaspace parse_metaspace(Keys& keys) {
  Metaspace result{to_utf8(keys.required_character("replacement")), PrependScheme::kAlways, true};
  if (keys.find("prepend_scheme")) {
    result.scheme = static_cast<PrependScheme>(
        keys.required_choice("prepend_scheme", {"first", "never", "always"}));
  }
  if (!keys.flag("add_prefix_space").value_or(true) && result.scheme != PrependScheme::kNever) {
    keys.problem("add_prefix_space", "is false, so prepend_scheme must be \"never\"");
  }
  keys.text("str_rep");
  result.split = keys.flag("split").value_or(true);
  return result;
}

PreTokenizer PreTokenizer::parse(const Json& json, const std::string& source) {
  PreTokenizer result;
  if (json.is_null()) return result;
  parse_into(json, source, "/pre_tokenizer", result.steps_);
  if (!result.steps_.empty() && dynamic_cast<const MapBytes*>(result.steps_.back().get())) {
    result.steps_.pop_back();
    result.byte_level_ = true;
  }
  return result;
}

void PreTokenizer::map_bytes() {
  if (!byte_level_) return;
  add<MapBytes>(steps_);
  byte_level_ = false;
}

void PreTokenizer::apply(Segment& segment, MatchScratch& scratch) const {
  segment.pieces.clear();
  const size_t size = segment.buffer.text().size();
  if (size == 0) return;
  segment.pieces.push_back(span(0, size));
  for (const auto& step : steps_) step->apply(segment, scratch);
}

}  // namespace hone::text::detail

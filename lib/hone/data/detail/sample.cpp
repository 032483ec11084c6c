#include "hone/data/detail/sample.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/core/utf8.h"
#include "hone/data/batch.h"
#include "hone/data/detail/untrainable.h"

namespace hone::data::detail {
namespace {

constexpr JsonLimits kRowLimits{.max_bytes = size_t{16} << 20, .max_values = 6'000'000};

std::string check_plain_text(std::string text) {
  const size_t bad = find_invalid_utf8(text);
  if (bad != std::string::npos) {
    throw Error("byte " + std::to_string(bad + 1) + " of the text is not valid UTF-8");
  }
  if (text.find('\0') != std::string::npos) throw Error("holds a NUL byte; is it a text file?");
  return text;
}

/// The formats whose keys are there.
template <class Has>
std::vector<Format> formats_with(const Has& has) {
  std::vector<Format> found;
  if (has("text")) found.push_back(Format::kText);
  if (has("messages")) found.push_back(Format::kMessages);
  if (has("prompt") && has("completion")) found.push_back(Format::kPromptCompletion);
  if (has("instruction") && has("output")) found.push_back(Format::kAlpaca);
  if (has("conversations")) found.push_back(Format::kShareGpt);
  if (has("segments")) found.push_back(Format::kSegments);
  if (has("input_ids")) found.push_back(Format::kTokens);
  return found;
}

/// The only format whose keys a row has; the columns that the recipe names decide before others.
Format detect(const Json& row, const ColumnMap* columns) {
  std::vector<Format> found;
  if (columns) found = formats_with([&](const char* key) { return columns->maps(key); });
  if (found.empty()) found = formats_with([&](const char* key) { return row.contains(key); });
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    throw Error("has the keys of format " + enum_name(found[0]) + " and of " + enum_name(found[1]) +
                "; set the data set's format");
  }
  throw Error("its keys are of no known format: " + shown_keys(row));
}

/// Stanford's two prompts, to the letter.
PairSample stanford_alpaca(const std::string& instruction, const std::string& input,
                           const std::string& output) {
  PairSample sample;
  std::string& prompt = sample.prompt;
  const auto add = [&](const std::string& text) {
    const auto begin = static_cast<int64_t>(prompt.size());
    prompt += text;
    sample.free.push_back({begin, static_cast<int64_t>(prompt.size())});
  };
  prompt = "Below is an instruction that describes a task";
  if (!input.empty()) prompt += ", paired with an input that provides further context";
  prompt += ". Write a response that appropriately completes the request.\n\n### Instruction:\n";
  add(instruction);
  if (!input.empty()) {
    prompt += "\n\n### Input:\n";
    add(input);
  }
  prompt += "\n\n### Response:";
  sample.completion = output;
  return sample;
}

Sample read_alpaca(const Json& row, const RowFormat& format, bool plain) {
  const std::string instruction = text_or_empty(row, format.instruction);
  const std::string input = text_or_empty(row, format.input);
  const std::string& output = need_text(row, *format.output);
  if (instruction.empty() && input.empty()) throw Error("\"" + *format.instruction + "\" is empty");
  if (output.empty()) throw Error("\"" + *format.output + "\" is empty");

  const std::string system = text_or_empty(row, format.system);
  Json history = Json::array();
  if (format.history && row.contains(*format.history)) {
    const Json& given = row.at(*format.history);
    if (!given.is_null()) history = given;
  }
  if (!history.is_array()) throw Error("\"" + *format.history + "\" must be a list of pairs");
  if (plain) {
    if (!system.empty() || !history.empty()) {
      throw Error("chat_form plain cannot show a system text or a history");
    }
    return stanford_alpaca(instruction, input, output);
  }

  Json messages = Json::array();
  const auto say = [&](const char* role, const std::string& content) {
    messages.push_back({{"role", role}, {"content", content}});
  };
  if (!system.empty()) say("system", system);
  for (const Json& pair : history) {
    const bool fits =
        pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string();
    if (!fits) throw Error("\"" + *format.history + "\" must hold pairs of strings");
    say("user", pair[0].get<std::string>());
    say("assistant", pair[1].get<std::string>());
  }
  const bool both = !instruction.empty() && !input.empty();
  say("user", instruction + (both ? "\n" : "") + input);
  say("assistant", output);
  return read_messages(messages, nullptr);
}

Sample read_pair(const Json& row) {
  const Json &prompt = need(row, "prompt"), &completion = need(row, "completion");
  if (prompt.is_array() && completion.is_array()) {
    return read_message_pair(prompt, completion, read_tools(row, "tools"));
  }
  if (!prompt.is_string() || !completion.is_string()) {
    throw Error("\"prompt\" and \"completion\" must both be strings or both lists of messages");
  }
  if (completion.get_ref<const std::string&>().empty()) throw Error("\"completion\" is empty");
  const auto whole = static_cast<int64_t>(prompt.get_ref<const std::string&>().size());
  return PairSample{prompt.get<std::string>(), completion.get<std::string>(), {{0, whole}}};
}

SegmentSample read_segments(const Json& row) {
  const Json& segments = need(row, "segments");
  if (!segments.is_array()) throw Error("\"segments\" must be a list");
  SegmentSample sample;
  for (const Json& segment : segments) {
    const bool fits = segment.is_object() && segment.contains("label") &&
                      segment.at("label").is_boolean() && segment.contains("text") &&
                      segment.at("text").is_string();
    if (!fits) throw Error("\"segments\" must hold objects {\"label\": bool, \"text\": string}");
    sample.segments.emplace_back(segment.at("text").get<std::string>(),
                                 segment.at("label").get<bool>());
  }
  return sample;
}

std::vector<int64_t> read_integers(const Json& row, const char* key) {
  const Json& list = need(row, key);
  const bool fits = list.is_array() && std::all_of(list.begin(), list.end(), [](const Json& value) {
                      return value.is_number_integer();
                    });
  if (!fits) throw Error("\"" + std::string(key) + "\" must be a list of integers");
  return list.get<std::vector<int64_t>>();
}

TokenSample read_tokens(const Json& row) {
  TokenSample sample;
  sample.ids = read_integers(row, "input_ids");
  sample.labels = row.contains("labels") ? read_integers(row, "labels") : sample.ids;
  const size_t length = sample.ids.size();
  if (sample.labels.size() != length) {
    throw Error("\"labels\" must be as long as \"input_ids\", " + std::to_string(length) +
                ", got " + std::to_string(sample.labels.size()));
  }
  for (size_t i = 0; i < length; ++i) {
    if (sample.labels[i] == kIgnoreIndex || sample.labels[i] == sample.ids[i]) continue;
    throw Error("\"labels\" must be -100 or the token at the same place (not shifted); at " +
                std::to_string(i) + " the token is " + std::to_string(sample.ids[i]) +
                ", the label " + std::to_string(sample.labels[i]));
  }
  if (!row.contains("attention_mask")) return sample;

  const std::vector<int64_t> mask = read_integers(row, "attention_mask");
  const auto first = std::find(mask.begin(), mask.end(), 1);
  const auto last = std::find(first, mask.end(), 0);  // padding on either side is left out
  const bool fits = mask.size() == length &&
                    std::count(mask.begin(), first, 0) == first - mask.begin() &&
                    std::count(last, mask.end(), 0) == mask.end() - last;
  if (!fits) {
    throw Error(
        "\"attention_mask\" must be as long as \"input_ids\", 1 for one stretch of tokens "
        "and 0 for padding beside it");
  }
  const auto cut = [&](std::vector<int64_t>& values) {
    values = {values.begin() + (first - mask.begin()), values.begin() + (last - mask.begin())};
  };
  cut(sample.ids);
  cut(sample.labels);
  return sample;
}

/// Whether it holds a number that may have been written as a whole one beyond 64 bits.
bool holds_huge_number(const Json& value) {
  if (value.is_structured()) return std::any_of(value.begin(), value.end(), holds_huge_number);
  return value.is_number_float() && std::abs(value.get<double>()) >= 0x1p63;
}

bool holds_digits(const std::string& text, int count) {
  int run = 0;
  return std::any_of(text.begin(), text.end(), [&](char c) {
    run = c >= '0' && c <= '9' ? run + 1 : 0;
    return run == count;
  });
}

/// `sample`, if templates print its numbers as `row` has them: a whole number beyond 64 bits was
/// read as a double, where Python keeps its digits.
Sample exact(Sample sample, const std::string& row) {
  constexpr int kDigits = 19;  // of 2^63
  const auto* chat = std::get_if<ChatSample>(&sample);
  if (chat && (holds_huge_number(chat->messages) || holds_huge_number(chat->tools)) &&
      holds_digits(row, kDigits)) {
    throw Error(
        "the conversation holds a whole number beyond 64 bits, which templates would print "
        "otherwise; make it a string");
  }
  return sample;
}

ChatSample read_sharegpt(const Json& row, const RowFormat& format) {
  const Json& messages = need(row, *format.messages);
  return read_tagged_messages(messages, format.tags, text_or_empty(row, format.system),
                              read_tools(row, format.tools));
}

/// A parser's "row: line L, column C: reason", counted from where the row begins in its file; the
/// line is left out where it is the row's own.
std::string placed_reason(const RawRow& raw, const std::string& what) {
  size_t line = 0, column = 0;
  int length = 0;
  const std::string reason = what.substr(std::string("row: ").size());
  if (std::sscanf(reason.c_str(), "line %zu, column %zu: %n", &line, &column, &length) != 2) {
    return reason;
  }
  if (line == 1) column += static_cast<size_t>(raw.column);
  const std::string place =
      line == 1 ? "" : "line " + std::to_string(static_cast<size_t>(raw.line) + line - 1) + ", ";
  return place + "column " + std::to_string(column) + ": " + reason.substr(length);
}

}  // namespace

Json parse_object(const RawRow& raw) {
  if (!raw.bad_reason.empty()) throw Error(raw.bad_reason);
  Json row;
  try {
    row = parse_json(raw.bytes, "row", kRowLimits);
  } catch (const IoError& error) {
    throw Error("not valid JSON: " + placed_reason(raw, error.what()));
  }
  if (!row.is_object()) throw Error(std::string("expected an object, got ") + row.type_name());
  return row;
}

const Json& need(const Json& row, const std::string& key) {
  const auto found = row.find(key);
  if (found == row.end()) throw Error("\"" + key + "\" is missing");
  return *found;
}

const std::string& need_text(const Json& row, const std::string& key) {
  const Json& value = need(row, key);
  if (!value.is_string()) {
    throw Error("\"" + key + "\" must be a string, got " + value.type_name());
  }
  return value.get_ref<const std::string&>();
}

std::string text_or_empty(const Json& row, const Key& key) {
  if (!key || !row.contains(*key) || row.at(*key).is_null()) return "";
  return need_text(row, *key);
}

Sample parse_row(const RawRow& row, bool plain_alpaca) {
  if (!row.bad_reason.empty()) throw Error(row.bad_reason);
  if (row.plain) return TextSample{check_plain_text(row.bytes)};
  const ColumnMap* columns = row.file->columns.get();
  const Json json = columns ? columns->rename(parse_object(row)) : parse_object(row);
  const RowFormat& format = row.file->format;
  const bool named = format.columns_given || columns;
  if (!named) check_no_preference(json, format.format);
  const Format kind = format.format == Format::kAuto ? detect(json, columns) : format.format;
  if (!named) check_trainable(json, kind);
  switch (kind) {
    case Format::kText:
      return TextSample{need_text(json, *format.text)};
    case Format::kMessages:
      return exact(read_messages(need(json, "messages"), read_tools(json, "tools")), row.bytes);
    case Format::kPromptCompletion:
      return exact(read_pair(json), row.bytes);
    case Format::kAlpaca:
      return read_alpaca(json, format, plain_alpaca);
    case Format::kShareGpt:
      return exact(read_sharegpt(json, format), row.bytes);
    case Format::kSegments:
      return read_segments(json);
    case Format::kTokens:
      return read_tokens(json);
    case Format::kAuto:
    case Format::kLlamaFactory:
      break;  // resolved above and by RowSource
  }
  throw Error("format " + enum_name(kind) + " has no rows of its own");
}

std::vector<std::string> sample_texts(const Sample& sample) {
  std::vector<std::string> texts;
  const auto add = [&](const std::string& text) {
    if (!text.empty()) texts.push_back(text);
  };
  if (const auto* text = std::get_if<TextSample>(&sample)) {
    add(text->text);
  } else if (const auto* pair = std::get_if<PairSample>(&sample)) {
    add(pair->prompt);
    add(pair->completion);
  } else if (const auto* chat = std::get_if<ChatSample>(&sample)) {
    for (const Json& message : chat->messages) add(text_or_empty(message, "content"));
  } else if (const auto* parts = std::get_if<SegmentSample>(&sample)) {
    for (const auto& [text, trained] : parts->segments) add(text);
  } else {
    throw Error("holds tokens, not text");
  }
  return texts;
}

}  // namespace hone::data::detail

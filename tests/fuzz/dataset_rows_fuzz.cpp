// The input's first two bytes pick the format, the masks and the length policy; the rest is read
// as .jsonl, as a .json array and as row bytes, tokenised with a tokenizer of 256 bytes.
#include <cstdint>
#include <sstream>
#include <string>

#include "../data/support.h"
#include "hone/data/detail/encoder.h"
#include "hone/data/dump.h"

namespace {

using namespace hone;
using namespace hone::data;

const char* const kTemplate =
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}<|bot|>{{ m['content'] "
    "}}<|end|>{% else %}<|user|>{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|bot|>{% endif %}";

struct Setup {
  text::TokenizerFolder folder = testing::make_folder({{"t", "h"}, {"th", "e"}}, true);
  EntityMatcher matcher{{"the", "heart attack", "\u5fc3\u810f"}, true};
  Setup() {
    folder.chat_template = kTemplate;
    folder.chat_template_source = "template";
  }
};

/// Breaks what an Example promises: then the fuzzer stops.
void check(const Example& example) {
  bool fits = !example.ids.empty() && example.targets.size() == example.ids.size() &&
              example.weights.size() == example.ids.size() &&
              example.targets.back() == kIgnoreIndex && example.trained() > 0;
  for (size_t i = 0; fits && i < example.ids.size(); ++i) {
    const bool target = example.targets[i] != kIgnoreIndex;
    fits = target ? example.targets[i] == example.ids[i + 1] && example.weights[i] > 0
                  : example.weights[i] == 0;
  }
  if (!fits) __builtin_trap();
}

void run_row(const detail::RawRow& row, const detail::Encoder& encoder, const Setup& setup,
             bool plain) {
  try {
    const detail::Sample sample = detail::parse_row(row, plain);
    const detail::EncodedRow encoded = encoder.encode(sample);
    for (const Example& example : encoded.examples) check(example);
    std::ostringstream out;
    dump_text(out, encoded.examples, setup.folder.tokenizer);
    dump_jsonl(out, encoded.examples, setup.folder.tokenizer);
    detail::sample_texts(sample);
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Setup setup;
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto pick = [](uint8_t byte, auto last) {
    return static_cast<decltype(last)>(byte % (static_cast<int>(last) + 1));
  };
  DatasetOptions options;
  options.format = pick(data[0] >> 4, Format::kTokens);
  options.train_on = pick(data[0] & 3, TrainOn::kAll);
  options.chat_form = pick(data[0] >> 2 & 3, ChatForm::kPlain);
  options.on_too_long = pick(data[1] & 3, OnTooLong::kError);
  options.max_length = 2 + (data[1] >> 2);
  const bool plain_text = data[0] == 255;
  const detail::Encoder encoder(options, setup.folder,
                                {.entities = &setup.matcher, .entity_multiplier = 2});
  const bool plain_alpaca = options.chat_form == ChatForm::kPlain;

  detail::RawRow row;
  row.file = std::make_shared<detail::RowFile>(detail::RowFile{"rows", {.format = options.format}});
  row.plain = plain_text;
  std::istringstream lines(text);
  while (std::getline(lines, row.bytes)) run_row(row, encoder, setup, plain_alpaca);
  if (text.empty() || text[0] != '[') return 0;
  try {
    detail::ArrayRows rows(text, "rows");
    while (rows.next(row)) run_row(row, encoder, setup, plain_alpaca);
  } catch (const Error&) {
  }
  return 0;
}

#include <catch2/catch.hpp>
#include <set>

#include "data/support.h"
#include "hone/core/random.h"
#include "hone/data/detail/encoder.h"

namespace hone::data {
namespace {

using namespace testing;

const std::vector<std::string> kRows{
    R"({"text": "the heart attack é 心臓"})",
    R"({"prompt": "ab", "completion": " the end"})",
    R"({"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant",)"
    R"( "content": "a"}]})",
    R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type":)"
    R"( "text", "text": "q"}]}, {"role": "assistant", "content": "the", "weight": 0.5},)"
    R"( {"role": "user", "content": "r"}, {"role": "assistant", "content": "b", "train": false}],)"
    R"( "tools": "[{\"name\": \"f\"}]"})",
    R"({"instruction": "Add", "input": "1", "output": "the 3", "history": [["a", "b"]]})",
    R"({"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value":)"
    R"( "{\"name\": \"f\", \"arguments\": {}}"}, {"from": "observation", "value": "2"},)"
    R"( {"from": "gpt", "value": "a"}], "system": "s"})",
    R"({"segments": [{"label": false, "text": "ab"}, {"label": true, "text": "the"}]})",
    R"({"input_ids": [0, 7, 8, 9, 0], "labels": [-100, -100, 8, 9, -100],)"
    R"( "attention_mask": [0, 1, 1, 1, 0]})"};

/// Up to four bytes replaced, removed, doubled or exchanged for a stretch of another row.
std::string mutate(std::string row, Random& random) {
  const std::string marks = "{}[]\",:\\ 0-9ntf\x80\xff";
  for (uint64_t i = 1 + random.below(4); i > 0 && !row.empty(); --i) {
    const size_t at = random.below(row.size());
    const std::string& other = kRows[random.below(kRows.size())];
    switch (random.below(4)) {
      case 0:
        row[at] = marks[random.below(marks.size())];
        break;
      case 1:
        row.erase(at, 1 + random.below(8));
        break;
      case 2:
        row.insert(at, row.substr(at, 1 + random.below(30)));
        break;
      default:
        row.replace(at, random.below(20), other.substr(random.below(other.size()), 20));
    }
  }
  return row;
}

/// What batch.h promises of an example, and load_dataset of one it keeps.
bool is_sound(const Example& example) {
  const size_t length = example.ids.size();
  bool sound = length > 0 && example.targets.size() == length && example.weights.size() == length &&
               example.targets.back() == kIgnoreIndex && example.trained() > 0;
  for (size_t i = 0; sound && i < length; ++i) {
    const bool target = example.targets[i] != kIgnoreIndex;
    sound = target ? example.targets[i] == example.ids[i + 1] && example.weights[i] > 0
                   : example.weights[i] == 0;
  }
  return sound;
}

TEST_CASE("rows broken at random are refused with a reason or give sound examples") {
  auto folder = make_folder({{"t", "h"}, {"th", "e"}}, true);
  folder.chat_template =
      "{{ bos_token }}{% for m in messages %}{{ '<|bot|>' if m.role == 'assistant' else '<|user|>' "
      "}}{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}";
  const EntityMatcher matcher({"the", "heart attack", "心"}, true);
  Random random(11);
  std::set<std::string> reasons;
  int kept = 0;
  for (const OnTooLong policy : {OnTooLong::kTruncate, OnTooLong::kSplit, OnTooLong::kError}) {
    const detail::Encoder encoder({.max_length = 24, .on_too_long = policy}, folder,
                                  {.entities = &matcher, .entity_multiplier = 2});
    for (int i = 0; i < 6000; ++i) {
      detail::RawRow row;
      row.file = std::make_shared<detail::RowFile>(detail::RowFile{"rows", {}});
      row.bytes = mutate(kRows[random.below(kRows.size())], random);
      try {
        const detail::Sample sample = detail::parse_row(row, random.below(2) == 0);
        for (const Example& example : encoder.encode(sample).examples) {
          ++kept;
          if (!is_sound(example)) FAIL(row.bytes);
        }
      } catch (const Error& error) {
        if (std::string(error.what()).empty()) FAIL(row.bytes);
        reasons.insert(error.what());
      }
    }
  }
  CHECK(kept > 300);
  CHECK(reasons.size() > 100);
}

}  // namespace
}  // namespace hone::data

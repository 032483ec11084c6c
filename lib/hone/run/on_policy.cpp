#include "hone/run/on_policy.h"

#include <algorithm>
#include <string>
#include <utility>

#include "hone/core/random.h"
#include "hone/infer/generate.h"
#include "hone/infer/sampling.h"
#include "hone/run/decoder_step.h"

namespace hone::run {
namespace {

/// A document of a batch that the student goes on with.
struct Begun {
  std::vector<int64_t> prompt;
  int64_t length = 0;  ///< of the whole document
  int32_t domain = 0;
};

std::vector<Begun> begun(const data::Batch& batch, int64_t min_prompt) {
  std::vector<Begun> all;
  for (int64_t d = 0; d < batch.documents(); ++d) {
    const int64_t begin = batch.offsets[d], end = batch.offsets[d + 1];
    int64_t first = begin;
    while (first < end && batch.targets[first] == data::kIgnoreIndex) ++first;
    const int64_t cut = std::max(first + 1, std::min(begin + min_prompt, end - 1));
    if (cut >= end) continue;  // nothing is left to write
    all.push_back({{batch.input_ids.begin() + begin, batch.input_ids.begin() + cut},
                   end - begin,
                   static_cast<int32_t>(batch.domains[begin])});
  }
  return all;
}

data::Example document(const Begun& from, const std::vector<int64_t>& written) {
  data::Example example{.ids = from.prompt, .domain = from.domain};
  example.ids.insert(example.ids.end(), written.begin(), written.end());
  example.targets.assign(example.ids.size(), data::kIgnoreIndex);
  for (size_t i = from.prompt.size(); i < example.ids.size(); ++i) {
    example.targets[i - 1] = example.ids[i];
  }
  example.weights.assign(example.ids.size(), 1);
  return example;
}

}  // namespace

data::Batch OnPolicy::next(data::Batch batch, const DecoderStep& step) {
  const uint64_t drawn = derive_seed(seed_, std::to_string(batches_++));
  written_ = Random(drawn).uniform() < options_.share;
  if (written_) {
    data::Batch own = write(batch);
    written_ = own.tokens() > 0 && step.weight(own) > 0;
    if (written_) batch = std::move(own);
  }
  ++all_;
  mine_ += written_ ? 1 : 0;
  return batch;
}

data::Batch OnPolicy::write(const data::Batch& batch) {
  const std::vector<Begun> documents = begun(batch, options_.min_prompt);
  infer::SamplingOptions sampling{
      .max_new_tokens = 1,
      .temperature = options_.temperature,
      .stop_ids = text_.eos_id ? std::vector{*text_.eos_id} : std::vector<int64_t>(),
      .seed = static_cast<int64_t>(derive_seed(seed_, "text" + std::to_string(batches_)) >> 11)};
  std::vector<std::vector<int64_t>> prompts;
  std::vector<int64_t> room;  // left for each
  for (const Begun& from : documents) {
    prompts.push_back(from.prompt);
    room.push_back(std::min(from.length - std::ssize(from.prompt), options_.max_new_tokens));
    sampling.max_new_tokens = std::max(sampling.max_new_tokens, room.back());
  }
  const auto written =
      infer::generate(student_, text_.tokenizer, prompts, sampling,
                      {.on_token = [&room](size_t prompt, int64_t) { return --room[prompt] > 0; }});
  data::Batch own;
  for (size_t i = 0; i < documents.size(); ++i) own.append(document(documents[i], written[i].ids));
  return own;
}

double OnPolicy::take_share() {
  const auto mine = std::exchange(mine_, 0), all = std::exchange(all_, 0);
  return all > 0 ? static_cast<double>(mine) / static_cast<double>(all) : 0;
}

}  // namespace hone::run

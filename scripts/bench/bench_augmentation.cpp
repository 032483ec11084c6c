// bench_augmentation <rows.jsonl> <vocabulary> <rounds> <tokens per second>: a loader without and
// one with each kind of augmentation in turns, round by round. Run by scripts/bench/augmentation.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/loader.h"
#include "hone/text/bpe_trainer.h"

namespace {

using namespace hone;
using namespace hone::data;
using Clock = std::chrono::steady_clock;

constexpr int64_t kTokensPerBatch = 4096;
constexpr int kBatches = 48, kTrainedBatches = 12;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

text::TokenizerFolder train_tokenizer(const DatasetOptions& rows, int64_t vocabulary) {
  const Json json = text::train_bpe(
      read_texts(rows), {.vocab_size = vocabulary, .special_tokens = {"<bos>", "<eos>", "<pad>"}});
  text::TokenizerFolder folder{.tokenizer = text::Tokenizer::from_json(json, "trained")};
  folder.bos_id = 0;
  folder.eos_id = 1;
  folder.pad_id = 2;
  return folder;
}

/// Tokens per second of batches taken as fast as they come.
double speed(Loader& loader) {
  int64_t tokens = 0;
  const auto start = Clock::now();
  for (int i = 0; i < kBatches; ++i) tokens += loader.next().tokens();
  return static_cast<double>(tokens) / seconds_since(start);
}

/// Share of the time that a trainer of so many tokens per second waits for its batches.
double waiting(Loader& loader, double tokens_per_second) {
  double waited = 0;
  loader.next();
  const auto start = Clock::now();
  for (int i = 0; i < kTrainedBatches; ++i) {
    const auto asked = Clock::now();
    const Batch batch = loader.next();
    waited += seconds_since(asked);
    std::this_thread::sleep_for(
        std::chrono::duration<double>(static_cast<double>(batch.tokens()) / tokens_per_second));
  }
  return waited / seconds_since(start);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fprintf(
        stderr,
        "usage: bench_augmentation <rows.jsonl> <vocabulary> <rounds> <tokens per second>\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const DatasetOptions rows{.files = {argv[1]}};
  const int rounds = std::stoi(argv[3]);
  const double rate = std::stod(argv[4]);
  const auto folder = train_tokenizer(rows, std::stoll(argv[2]));
  const std::vector<DatasetPtr> sets = {std::make_shared<const Dataset>(
      load_dataset(rows, folder, {.max_length = kTokensPerBatch, .keep_text = true}))};
  std::printf("%lld documents, %lld tokens\n", static_cast<long long>(sets[0]->counts.documents),
              static_cast<long long>(sets[0]->counts.tokens));

  AugmentationOptions synonyms, masks, all;
  all.synonyms.rate = synonyms.synonyms.rate = 0.15;
  all.word_dropout.rate = masks.word_dropout.rate = 0.1;
  all.span_masking.rate = masks.span_masking.rate = 0.1;
  const LoaderOptions options{.tokens_per_batch = kTokensPerBatch, .seed = 1};
  const std::pair<const char*, const AugmentationOptions*> kinds[] = {
      {"synonyms", &synonyms}, {"masks", &masks}, {"all", &all}};
  std::printf("%-10s %16s %16s %26s %22s\n", "kind", "plain tokens/s", "with, tokens/s",
              "with / plain (range)", "waiting with (plain)");
  for (const auto& [name, kind] : kinds) {
    Loader plain(sets, options);
    Loader with(sets, options, std::make_shared<const Augmenter>(*kind, folder, sets, 1));
    std::vector<double> fast, slow, ratio, waits, plain_waits;
    for (int round = 0; round < rounds; ++round) {
      fast.push_back(speed(plain));
      slow.push_back(speed(with));
      ratio.push_back(slow.back() / fast.back());
      plain_waits.push_back(waiting(plain, rate));
      waits.push_back(waiting(with, rate));
    }
    const auto [least, most] = std::minmax_element(ratio.begin(), ratio.end());
    std::printf("%-10s %16.0f %16.0f %10.4f (%.4f-%.4f) %12.2f %% (%.2f %%)\n", name, median(fast),
                median(slow), median(ratio), *least, *most, 100 * median(waits),
                100 * median(plain_waits));
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

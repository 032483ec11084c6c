#include "hone/infer/generate.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/infer/detail/check_ids.h"
#include "hone/infer/detail/eval_mode.h"
#include "hone/infer/detail/stop_strings.h"

namespace hone::infer {
namespace {

/// Positions that a cache begins with beyond the longest prompt: most texts end long before
/// max_new_tokens.
constexpr int64_t kFirstRoom = 256;

/// A prompt being continued. Number i of them is row i of the cache.
struct Sequence {
  size_t prompt;
  std::vector<int64_t> ids;  ///< prompt and continuation
  Random random;
};

class Generation {
 public:
  Generation(model::Decoder& decoder, const text::Tokenizer& tokenizer,
             std::span<const std::vector<int64_t>> prompts, const SamplingOptions& sampling,
             const GenerateOptions& options)
      : decoder_(decoder),
        tokenizer_(tokenizer),
        prompts_(prompts),
        sampling_(sampling),
        options_(options),
        stop_strings_(tokenizer, sampling.stop_strings),
        own_(decoder),
        cache_(options.kept ? options.kept->cache : own_.cache),
        limit_(position_limit(decoder->config())),
        results_(prompts.size()) {
    check();
    std::vector<size_t> order(prompts.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return prompts[a].size() > prompts[b].size(); });
    queue_.assign(order.begin(), order.end());
  }

  std::vector<Generated> run() {
    const torch::NoGradGuard no_grad;
    const detail::EvalMode eval(decoder_);
    if (options_.kept) reuse();
    if (!queue_.empty()) {
      const auto longest = static_cast<int64_t>(prompts_[queue_.front()].size());
      most_positions_ = std::min(limit_, longest + sampling_.max_new_tokens);
      cache_.reserve(std::min(options_.max_batch, static_cast<int64_t>(prompts_.size())),
                     std::min(most_positions_, longest + kFirstRoom));
    }
    while (!queue_.empty() || !active_.empty()) {
      while (!queue_.empty() && static_cast<int64_t>(active_.size()) < options_.max_batch)
        prefill();
      if (!active_.empty()) step();
    }
    return std::move(results_);
  }

 private:
  void check() const {
    if (!sampling_.stop_ids) {
      throw Error(
          "generate: stop_ids is not set; give eos_ids(folder), or an empty list to generate "
          "max_new_tokens always");
    }
    if (options_.max_batch < 1 || options_.prefill_tokens < 1 || sampling_.max_new_tokens < 1) {
      throw Error(
          "generate: max_batch, prefill_tokens and max_new_tokens must be at least 1, got " +
          std::to_string(options_.max_batch) + ", " + std::to_string(options_.prefill_tokens) +
          " and " + std::to_string(sampling_.max_new_tokens));
    }
    if (options_.kept && prompts_.size() != 1) {
      throw Error("generate: what is kept serves one prompt at a time, got " +
                  std::to_string(prompts_.size()));
    }
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const std::string what = "generate: prompt " + std::to_string(i);
      detail::check_ids(prompts_[i], decoder_->config().vocab_size, what);
      if (static_cast<int64_t>(prompts_[i].size()) >= limit_) {
        throw Error(what + " has " + std::to_string(prompts_[i].size()) +
                    " tokens, but the model's positions end at " + std::to_string(limit_) +
                    "; shorten it");
      }
    }
  }

  /// Forgets of the kept row what the prompt does not begin with; its last token runs at least.
  void reuse() {
    if (cache_.rows() == 0) return;
    const std::vector<int64_t>& prompt = prompts_[0];
    const std::vector<int64_t>& ids = options_.kept->ids;
    const auto most =
        std::min({prompt.size() - 1, ids.size(), static_cast<size_t>(cache_.lengths().front())});
    const auto same =
        std::mismatch(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(most), ids.begin());
    reused_ = same.first - prompt.begin();
    reused_ > 0 ? cache_.truncate(0, reused_) : cache_.drop(0);
  }

  /// Begins as many prompts as fit into the batch and prefill_tokens, and takes their first tokens.
  void prefill() {
    const size_t first = active_.size();
    std::vector<std::vector<int64_t>> documents;
    int64_t tokens = 0;
    while (!queue_.empty() && static_cast<int64_t>(active_.size()) < options_.max_batch) {
      const size_t prompt = queue_.front();
      tokens += static_cast<int64_t>(prompts_[prompt].size());
      if (!documents.empty() && tokens > options_.prefill_tokens) break;
      queue_.pop_front();
      documents.emplace_back(prompts_[prompt].begin() + reused_, prompts_[prompt].end());
      active_.push_back({prompt, prompts_[prompt],
                         Random(derive_seed(static_cast<uint64_t>(sampling_.seed),
                                            "generate/" + std::to_string(prompt)))});
    }
    advance(first, documents);
  }

  /// One more token of every sequence.
  void step() {
    std::vector<std::vector<int64_t>> documents;
    for (const Sequence& sequence : active_) documents.push_back({sequence.ids.back()});
    const int64_t needed = *std::max_element(cache_.lengths().begin(), cache_.lengths().end()) + 1;
    if (needed > cache_.position_capacity()) {
      cache_.reserve(0, std::min(most_positions_, 2 * cache_.position_capacity()));
    }
    advance(0, documents);
  }

  /// Feeds `documents` to the sequences from number `first` on, appends the token that follows each
  /// and retires those that end.
  void advance(size_t first, const std::vector<std::vector<int64_t>>& documents) {
    std::vector<int64_t> past = cache_.lengths();
    past.resize(first + documents.size(), 0);
    const model::DecoderInput input =
        model::make_input(documents, decoder_->device(), std::span(past).subspan(first));
    at::Tensor hidden = decoder_->hidden(input, cache_, static_cast<int64_t>(first));
    if (input.segments.max_length > 1) {
      std::vector<int64_t> last(input.segments.offsets.begin() + 1, input.segments.offsets.end());
      for (int64_t& position : last) --position;
      hidden = hidden.index_select(0, torch::tensor(last, at::kLong).to(hidden.device()));
    }
    const at::Tensor logits = decoder_->logits(hidden).to(at::kCPU, at::kFloat).contiguous();
    const auto vocabulary = static_cast<size_t>(logits.size(1));
    float* rows = logits.mutable_data_ptr<float>();
    // From the last on: what retires gives its row to the last one, which has its token already.
    for (size_t i = documents.size(); i-- > 0;) {
      take_token(first + i, std::span(rows + i * vocabulary, vocabulary));
    }
  }

  void take_token(size_t row, std::span<float> logits) {
    Sequence& sequence = active_[row];
    process_logits(logits, sequence.ids, sampling_);
    const int64_t likeliest = greedy_token(logits);
    if (likeliest == static_cast<int64_t>(logits.size()) || !std::isfinite(logits[likeliest])) {
      throw Error("generate: the model's logits for prompt " + std::to_string(sequence.prompt) +
                  " are not finite");
    }
    const int64_t id =
        sampling_.temperature == 0 ? likeliest : sampled_token(logits, sequence.random);
    sequence.ids.push_back(id);
    if (const auto ending = ending_of(sequence)) retire(row, *ending);
  }

  struct Ending {
    FinishReason reason;
    size_t cut = 0;  ///< bytes of text that do not count
  };

  std::optional<Ending> ending_of(const Sequence& sequence) const {
    const int64_t id = sequence.ids.back();
    const bool go_on = !options_.on_token || options_.on_token(sequence.prompt, id);
    const std::vector<int64_t>& stops = *sampling_.stop_ids;
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) {
      return Ending{FinishReason::kStop};
    }
    const size_t begin = prompts_[sequence.prompt].size();
    if (const auto cut = stop_strings_.find(sequence.ids, begin)) {
      return Ending{FinishReason::kStopString, *cut};
    }
    if (!go_on) return Ending{FinishReason::kCancelled};
    const auto length = static_cast<int64_t>(sequence.ids.size());
    if (length - static_cast<int64_t>(begin) == sampling_.max_new_tokens || length == limit_) {
      return Ending{FinishReason::kLength};
    }
    return std::nullopt;
  }

  void retire(size_t row, const Ending& ending) {
    Sequence& sequence = active_[row];
    const size_t begin = prompts_[sequence.prompt].size();
    Generated& result = results_[sequence.prompt];
    result.ids.assign(sequence.ids.begin() + static_cast<ptrdiff_t>(begin), sequence.ids.end());
    result.text = tokenizer_.decode(result.ids, /*skip_special_tokens=*/true);
    result.text.resize(result.text.size() - std::min(result.text.size(), ending.cut));
    result.finish = ending.reason;
    result.prompt_tokens = static_cast<int64_t>(begin);
    if (options_.kept) {
      options_.kept->ids = sequence.ids;
    } else {
      cache_.drop(static_cast<int64_t>(row));
    }
    if (row + 1 != active_.size()) sequence = std::move(active_.back());
    active_.pop_back();
  }

  model::Decoder decoder_;
  text::Tokenizer tokenizer_;
  std::span<const std::vector<int64_t>> prompts_;
  const SamplingOptions& sampling_;
  const GenerateOptions& options_;
  detail::StopStrings stop_strings_;
  Kept own_;
  model::KvCache& cache_;
  int64_t limit_, most_positions_ = 0;
  int64_t reused_ = 0;  ///< positions of the prompt that the cache held before
  std::vector<Generated> results_;
  std::deque<size_t> queue_;  ///< prompts not begun
  std::vector<Sequence> active_;
};

}  // namespace

Kept::Kept(const model::Decoder& decoder)
    : cache(decoder->cache_shapes(),
            at::TensorOptions().dtype(decoder->dtype()).device(decoder->device())) {}

std::vector<Generated> generate(model::Decoder& decoder, const text::Tokenizer& tokenizer,
                                std::span<const std::vector<int64_t>> prompts,
                                const SamplingOptions& sampling, const GenerateOptions& options) {
  return Generation(decoder, tokenizer, prompts, sampling, options).run();
}

int64_t position_limit(const model::DecoderConfig& config) {
  const nn::RotaryOptions& rope = config.rope;
  const int64_t own = config.max_position_embeddings;
  const auto stretched = [&](int64_t positions) {
    return std::max(own, static_cast<int64_t>(rope.factor * static_cast<double>(positions)));
  };
  switch (rope.type) {
    case nn::RopeType::kYarn:
      return stretched(rope.original_positions);
    case nn::RopeType::kDynamic:
      return stretched(own);
    default:
      return own;
  }
}

}  // namespace hone::infer

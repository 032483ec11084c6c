#include "hone/run/distillation.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/infer/generate.h"
#include "hone/io/checkpoint.h"
#include "hone/kernels/dispatch.h"
#include "hone/model/adapter.h"
#include "hone/model/cost.h"
#include "hone/run/base.h"
#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/model_folder.h"
#include "hone/train/loop.h"
#include "hone/train/progress.h"

namespace hone::run {
namespace {

void check_tokens(const std::string& teacher, const text::Tokenizer& theirs,
                  const text::Tokenizer& ours) {
  const int64_t size = std::max(theirs.vocab_size(), ours.vocab_size());
  for (int64_t id = 0; id < size; ++id) {
    const auto token = [id](const text::Tokenizer& of) {
      return id < of.vocab_size() ? of.id_to_token(id) : std::string();
    };
    if (token(theirs) == token(ours)) continue;
    throw Error(
        fmt::format("distillation.teacher: {} has another vocabulary: its token {} is \"{}\", the "
                    "run's \"{}\"; "
                    "rows of probabilities compare under one tokenizer only",
                    teacher, id, token(theirs), token(ours)));
  }
}

/// Throws: Error if the run trains what its base would teach it.
void check_own_base(const Config& config) {
  const model::AdapterShape adapter = adapter_of(config);
  if (adapter.options.modules_to_save.empty() && adapter.token_rows == 0) return;
  throw Error(
      "distillation.teacher: base cannot teach, since the adapter trains modules of it "
      "(modules_to_save, or rows of a grown vocabulary); give the base's folder instead");
}

}  // namespace

model::DecoderConfig check_teacher(const std::string& folder, const text::TokenizerFolder& text) {
  const ModelFolders folders = ModelFolders::find(folder);
  check_tokens(folder, open_tokenizer(folders).tokenizer, text.tokenizer);
  const std::string path = folders.model + "/" + io::kConfigFile;
  return model::DecoderConfig::from_json(read_json_file(path), path);
}

namespace {

/// What the student keeps of the positions that it has written.
int64_t writing_bytes(const OnPolicyOptions& options, const model::DecoderConfig& student,
                      const model::MemoryRequest& request) {
  if (!options.on()) return 0;
  const int64_t longest = request.longest > 0 ? request.longest : request.tokens_per_batch;
  return model::Cost(student).cache_bytes(
      request.bytes_per_element < 4 ? at::kBFloat16 : at::kFloat,
      std::min(infer::GenerateOptions{}.max_batch, request.documents), longest);
}

}  // namespace

int64_t teacher_bytes(const Config& config, const text::TokenizerFolder& text,
                      const model::DecoderConfig& student, const model::MemoryRequest& request) {
  const DistillationOptions& options = *config.distillation;
  const int64_t tokens = request.tokens_per_batch, bytes = request.bytes_per_element;
  const auto chunk = [&](int64_t vocabulary) {
    return bytes * vocabulary * std::min(kernels::chunk_rows(vocabulary, request.device), tokens);
  };
  if (options.cache) {
    const CacheInfo cache = CacheInfo::read(*options.cache, text.tokenizer);
    constexpr int64_t kWide = sizeof(float), kEntry = sizeof(int64_t) + kWide;
    constexpr int64_t kCopies = 3;  // wide ones, of a few rows at a time (kernels/top_tokens.h)
    const int64_t rows = std::min(kernels::wide_rows(cache.vocabulary), tokens);
    return tokens * cache.top_k * kEntry + chunk(cache.vocabulary) +
           kCopies * kWide * rows * cache.vocabulary;
  }
  const int64_t writing = writing_bytes(options.on_policy, student, request);
  if (options.own_base()) {
    check_own_base(config);
    return bytes * tokens * student.hidden_size + chunk(student.vocab_size) +
           hidden_bytes(options.hidden, student, student, request) + writing;
  }
  const model::DecoderConfig teacher = check_teacher(*options.teacher, text);
  return model::predict_memory(teacher, {.bytes_per_element = bytes}).weights +
         bytes * tokens * teacher.hidden_size + chunk(teacher.vocab_size) +
         hidden_bytes(options.hidden, student, teacher, request) + writing;
}

void Distillation::open(ReadyRun& run) {
  run_ = &run;
  model::Decoder& student = run.decoder;
  if (options_.cache) {
    cache_.emplace(*options_.cache, run.text.tokenizer).check(run.data.train);
    return;
  }
  if (options_.own_base()) {
    check_own_base(run.config);
    teacher_ = model::frozen_base(student);
  } else {
    check_teacher(*options_.teacher, run.text);
    teacher_ = open_model(ModelFolders::find(*options_.teacher), student->device(),
                          student->lm_weight().scalar_type())
                   .decoder;
    teacher_->eval();
    for (at::Tensor& parameter : teacher_->parameters()) parameter.set_requires_grad(false);
  }
  if (options_.on_policy.on()) {
    on_policy_.emplace(options_.on_policy, student, run.text,
                       derive_seed(run.config.seed, "on-policy"));
  }
  if (options_.hidden.on()) {
    hidden_.emplace(options_.hidden, student, teacher_,
                    derive_seed(run.config.seed, "distillation"));
  }
}

kernels::SoftTargets Distillation::soft_targets(const data::Batch& batch,
                                                const model::DecoderInput& input) {
  const torch::NoGradGuard no_grad;
  const bool own = on_policy_ && on_policy_->written();  // text that nobody else wrote
  kernels::SoftTargets soft{.options = options_.loss(), .share = own ? 1 : options_.share};
  if (cache_) {
    soft.top = cache_->rows(batch, input.ids.device());
  } else {
    soft.hidden = teacher_->hidden(input);
    soft.weight = teacher_->lm_weight();
  }
  const at::Tensor& rows = cache_ ? soft.top->log_tail : soft.hidden;
  divergence_ = soft.divergence =
      at::zeros({input.ids.size(0)}, rows.options().dtype(kernels::wide_type(rows)));
  return soft;
}

void Distillation::score(const train::Task& task) {
  DecoderStep step(teacher_, run_->step.weights());
  const train::Evaluation scores{
      0, train::evaluate(task.evaluation, [&](const data::Batch& b) { return step.nll(b); })};
  log_info("the teacher: " + train::describe(scores));
  for (const train::Score& score : train::by_domain(scores.scores)) {
    perplexity_[score.domain] = score.perplexity();
  }
}

void Distillation::attach(train::Task& task, optim::Optimizer&) {
  if (teacher_ && perplexity_.is_null() && !task.evaluation.empty()) score(task);
  run_->step.set_teacher([this](const data::Batch& batch, const model::DecoderInput& input) {
    return soft_targets(batch, input);
  });
  if (hidden_) hidden_->attach(task, run_->config.train, run_->step);
  if (on_policy_) {
    task.next_batch = [this, next = task.next_batch] {
      return on_policy_->next(next(), run_->step);
    };
  }
  task.loss = [this, loss = task.loss](const data::Batch& batch) {
    loss::LossSum result = loss(batch);
    sum_ += divergence_.sum().item<double>();
    targets_ += std::count_if(batch.targets.begin(), batch.targets.end(),
                              [](int64_t target) { return target != data::kIgnoreIndex; });
    return result;
  };
  task.extra_metrics = [this, others = task.extra_metrics] {
    Json all = others ? others() : Json::object();
    if (on_policy_) all["on_policy"] = on_policy_->take_share();
    if (targets_ > 0) all["divergence"] = *(last_ = sum_ / static_cast<double>(targets_));
    sum_ = 0;
    targets_ = 0;
    return all;
  };
}

void Distillation::close() {
  run_->step.set_teacher({});
  if (hidden_) hidden_->close(run_->step);
}

Json Distillation::save() const {
  if (!hidden_ && !on_policy_) return perplexity_;
  Json state = {{"teacher_perplexity", perplexity_}};
  if (hidden_) state["hidden"] = hidden_->state();
  if (on_policy_) state["on_policy"] = on_policy_->state();
  return state;
}

void Distillation::load(const Json& state) {
  perplexity_ = hidden_ || on_policy_ ? state.at("teacher_perplexity") : state;
  if (hidden_) hidden_->restore(state.at("hidden"));
  if (on_policy_) on_policy_->restore(state.at("on_policy"));
}

void Distillation::report(const EndedRun&, Json& report) {
  Json& mine = report["distillation"];
  if (cache_) {
    mine = {{"teacher", cache_->info().teacher}, {"cache", *options_.cache}};
  } else {
    mine = {{"teacher", *options_.teacher}, {"teacher_perplexity", perplexity_}};
  }
  if (last_) mine["divergence"] = *last_;
  if (hidden_ && hidden_->mean()) mine["hidden_distance"] = *hidden_->mean();
}

}  // namespace hone::run

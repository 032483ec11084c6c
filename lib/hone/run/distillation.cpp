#include "hone/run/distillation.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/checkpoint.h"
#include "hone/kernels/dispatch.h"
#include "hone/model/adapter.h"
#include "hone/run/base.h"
#include "hone/run/config.h"
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

/// The teacher's sizes, read without its weights; none where it is the run's own base.
std::optional<model::DecoderConfig> check_teacher(const Config& config,
                                                  const text::TokenizerFolder& text) {
  const std::string& teacher = config.distillation->teacher;
  if (config.distillation->own_base()) {
    const model::AdapterShape adapter = adapter_of(config);
    if (adapter.options.modules_to_save.empty() && adapter.token_rows == 0) return std::nullopt;
    throw Error(fmt::format(
        "distillation.teacher: {} cannot teach, since the adapter trains modules of it "
        "(modules_to_save, or rows of a grown vocabulary); give the base's folder instead",
        teacher));
  }
  const ModelFolders folders = ModelFolders::find(teacher);
  check_tokens(teacher, open_tokenizer(folders).tokenizer, text.tokenizer);
  const std::string path = folders.model + "/" + io::kConfigFile;
  return model::DecoderConfig::from_json(read_json_file(path), path);
}

}  // namespace

int64_t teacher_bytes(const Config& config, const text::TokenizerFolder& text,
                      const model::DecoderConfig& student, const model::MemoryRequest& request) {
  const auto other = check_teacher(config, text);
  const model::DecoderConfig& teacher = other ? *other : student;
  const int64_t tokens = request.tokens_per_batch, bytes = request.bytes_per_element;
  const int64_t rows = kernels::chunk_rows(teacher.vocab_size, request.device);
  const int64_t weights =
      other ? model::predict_memory(teacher, {.bytes_per_element = bytes}).weights : 0;
  return weights +
         bytes * (tokens * teacher.hidden_size + std::min(rows, tokens) * teacher.vocab_size);
}

void Distillation::open(ReadyRun& run) {
  run_ = &run;
  model::Decoder& student = run.decoder;
  if (!check_teacher(run.config, run.text)) {
    teacher_ = model::frozen_base(student);
    return;
  }
  teacher_ = open_model(ModelFolders::find(options_.teacher), student->device(),
                        student->lm_weight().scalar_type())
                 .decoder;
  teacher_->eval();
  for (at::Tensor& parameter : teacher_->parameters()) parameter.set_requires_grad(false);
}

kernels::SoftTargets Distillation::soft_targets(const model::DecoderInput& input) {
  const torch::NoGradGuard no_grad;
  kernels::SoftTargets soft{.hidden = teacher_->hidden(input),
                            .weight = teacher_->lm_weight(),
                            .options = options_.loss(),
                            .share = options_.share};
  divergence_ = soft.divergence =
      at::zeros({input.ids.size(0)}, soft.hidden.options().dtype(kernels::wide_type(soft.hidden)));
  return soft;
}

void Distillation::attach(train::Task& task, optim::Optimizer&) {
  if (perplexity_.is_null() && !task.evaluation.empty()) {
    DecoderStep step(teacher_, run_->step.weights());
    const train::Evaluation scores{
        0, train::evaluate(task.evaluation, [&](const data::Batch& b) { return step.nll(b); })};
    log_info("the teacher: " + train::describe(scores));
    for (const train::Score& score : train::by_domain(scores.scores)) {
      perplexity_[score.domain] = score.perplexity();
    }
  }
  run_->step.set_teacher([this](const model::DecoderInput& input) { return soft_targets(input); });
  task.loss = [this, loss = task.loss](const data::Batch& batch) {
    loss::LossSum result = loss(batch);
    sum_ += divergence_.sum().item<double>();
    targets_ += std::count_if(batch.targets.begin(), batch.targets.end(),
                              [](int64_t target) { return target != data::kIgnoreIndex; });
    return result;
  };
  task.extra_metrics = [this, others = task.extra_metrics] {
    Json all = others ? others() : Json::object();
    if (targets_ > 0) all["divergence"] = *(last_ = sum_ / static_cast<double>(targets_));
    sum_ = 0;
    targets_ = 0;
    return all;
  };
}

void Distillation::close() { run_->step.set_teacher({}); }

void Distillation::report(const EndedRun&, Json& report) {
  Json& mine =
      report["distillation"] = {{"teacher", options_.teacher}, {"teacher_perplexity", perplexity_}};
  if (last_) mine["divergence"] = *last_;
}

}  // namespace hone::run

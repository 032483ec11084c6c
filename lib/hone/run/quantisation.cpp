#include "hone/run/quantisation.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/run_folder.h"
#include "hone/model/checkpoint.h"
#include "hone/model/rounding_quality.h"
#include "hone/model/sensitivity.h"
#include "hone/model/smoothing.h"
#include "hone/run/base.h"
#include "hone/run/calibration_text.h"
#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/saving.h"
#include "hone/train/loop.h"
#include "hone/train/progress.h"
#include "hone/train/resume.h"

namespace hone::run {
namespace {

/// Of the last hidden states, those of positions that have a target.
at::Tensor target_rows(const at::Tensor& hidden, const data::Batch& batch) {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    if (batch.targets[i] != data::kIgnoreIndex) rows.push_back(static_cast<int64_t>(i));
  }
  return hidden.index_select(0, torch::tensor(rows, at::kLong).to(hidden.device()));
}

}  // namespace

nn::QuantisationSpec QuantisationOptions::spec(at::ScalarType scale_type) const {
  constexpr int64_t kGroup = 128;
  const bool inputs = scheme == Scheme::kW8A8, four = scheme == Scheme::kW4A16;
  return {{four ? 4 : 8, group.value_or(four ? kGroup : 0), !inputs}, {inputs}, scale_type};
}

model::QuantisedLayers quantised_layers(const QuantisationOptions& options,
                                        const model::DecoderImpl& decoder,
                                        at::ScalarType scale_type) {
  const model::QuantisedLayers layers = {options.spec(scale_type), options.ignore};
  std::vector<Problem> problems;
  for (const std::string& text : model::quantisation_problems(decoder, layers)) {
    const size_t colon = text.find(": ");
    const bool key = text.starts_with("ignore: ") || text.starts_with("group: ");
    problems.push_back({"/quantisation" + (key ? "/" + text.substr(0, colon) : ""),
                        key ? text.substr(colon + 2) : text});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  return model::with_defaults(decoder, layers);
}

Quantisation::~Quantisation() {
  if (decoder_) model::set_rounding(*decoder_, std::nullopt);  // others may use it (run/cache.h)
}

void Quantisation::begin(const model::Decoder& decoder, at::ScalarType scale_type) {
  decoder_ = decoder;
  layers_ = quantised_layers(options_, *decoder, scale_type);
  const auto rounded = std::ssize(model::quantised_linears(*decoder, layers_));
  const auto all = std::ssize(model::block_linears(*decoder));
  log_info(fmt::format(
      "{}: {} of the blocks' {} linear layers are rounded{}; routed experts, "
      "routers, norms, embedding and head are not",
      enum_name(options_.scheme), rounded, all,
      options_.start > 0 ? fmt::format(" after {:.0f} % of the steps", 100 * options_.start) : ""));
}

void Quantisation::calibrate(const std::vector<model::DecoderInput>& text) {
  if (options_.smooth) {
    const model::Smoothed done = model::smooth(decoder_, *options_.smooth, [&] {
      decoder_->eval();
      for (const model::DecoderInput& input : text) decoder_->hidden(input);
    });
    log_info(fmt::format("smoothed at {} places; the inputs of {} layers stay as they are{}",
                         done.folds, done.left.size(),
                         done.left.empty() ? "" : ", as those of " + done.left.front()));
  }
  if (!options_.sensitivity) return;
  sensitivity_ = Json::array();
  for (const model::Sensitivity& row : model::sensitivities(decoder_, layers_, text)) {
    sensitivity_.push_back(
        {{"layer", row.name}, {"divergence", row.mean}, {"divergence_p99", row.p99}});
  }
  const Json& worst = sensitivity_.front();
  log_info(fmt::format("rounded alone, {} changes the next tokens most: {:.4g} nats",
                       worst.at("layer").get<std::string>(), worst.at("divergence").get<double>()));
}

void Quantisation::open(ReadyRun& run) {
  begin(run.decoder, run.saved_type);
  goes_on_ = train::checkpoint_phase(run.folder) == train::kMainPhase;
  if (!goes_on_) {  // else the checkpoint has what came of it
    calibrate(calibration_text(run.data.train, options_.calibration_tokens,
                               run.config.data.tokens_per_batch, decoder_->device()));
  }
  first_ = static_cast<int64_t>(options_.start * static_cast<double>(run.config.train.steps));
}

void Quantisation::convert(const ScoredRun& run) {
  begin(run.decoder, run.saved_type);
  calibrate(calibration_text(run.data.held_out, options_.calibration_tokens,
                             run.config.data.tokens_per_batch, decoder_->device()));
  untrained_ = quality(run.held_out);
}

void Quantisation::set_rounding(bool on) {
  on_ = on;
  model::set_rounding(*decoder_, on ? std::optional(layers_) : std::nullopt);
}

Json Quantisation::quality(const std::vector<train::EvaluationSet>& sets) {
  const at::NoGradGuard no_grad;
  model::RoundingQuality quality;
  decoder_->eval();
  for (const train::EvaluationSet& set : sets) {
    for (const data::Batch& batch : set.batches) {
      const model::DecoderInput input = decoder_input(batch, decoder_->device());
      set_rounding(false);
      const at::Tensor exact = target_rows(decoder_->hidden(input), batch);
      set_rounding(true);
      quality.add(exact, target_rows(decoder_->hidden(input), batch), decoder_->lm_weight());
    }
  }
  set_rounding(true);
  if (quality.rows() == 0) return nullptr;
  Json result = quality.json();
  log_info(fmt::format(
      "rounding changes the next token's distribution by {:.4g} nats (99 %: "
      "{:.4g}), the likeliest token of {:.2f} % of the text",
      quality.mean_divergence(), quality.p99_divergence(), 100 * (1 - quality.agreement())));
  return result;
}

void Quantisation::attach(train::Task& task, optim::Optimizer&) {
  held_out_ = task.evaluation;
  if (!goes_on_ && !held_out_.empty()) {
    untrained_ = quality(held_out_);
    const train::Evaluation rounded{0, train::evaluate(held_out_, task.nll)};
    log_info("rounded, untrained: " + train::describe(rounded));
    untrained_["perplexity"] = train::perplexities(rounded.scores);
  }
  set_rounding(first_ == 0);
  task.before_step = [this, before = task.before_step](int64_t step) {
    if (before) before(step);
    if (!on_ && step > first_) set_rounding(true);
  };
}

void Quantisation::close() {
  if (on_) return;
  log_warning("the run ended before rounding began: its last scores are those of the float model");
  set_rounding(true);
}

void Quantisation::finished(model::Decoder&, const RunTokenizer&) {
  if (!held_out_.empty()) trained_ = quality(held_out_);
}

Json Quantisation::save() const {
  return {{"on", on_}, {"untrained", untrained_}, {"sensitivity", sensitivity_}};
}

void Quantisation::load(const Json& state) {
  set_rounding(state.at("on"));
  untrained_ = state.at("untrained");
  sensitivity_ = state.at("sensitivity");
}

void Quantisation::report(const EndedRun&, Json& report) {
  Json& mine = report["quantisation"];
  mine = {{"scheme", enum_name(options_.scheme)}};
  if (!decoder_) return;
  Json names = Json::array();
  for (const model::NamedLinear& linear : model::block_linears(*decoder_)) {
    if (!linear.layer->rounding()) names.push_back(linear.name);
  }
  mine["layers"] = std::ssize(model::block_linears(*decoder_)) - std::ssize(names);
  mine["ignored"] = std::move(names);
  if (!untrained_.is_null()) mine["untrained"] = untrained_;
  if (!trained_.is_null()) mine["trained"] = trained_;
  if (!sensitivity_.is_null()) mine["sensitivity"] = sensitivity_;
}

}  // namespace hone::run

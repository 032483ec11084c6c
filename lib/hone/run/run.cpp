#include "hone/run/run.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>

#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/data/loader.h"
#include "hone/infer/sampling.h"
#include "hone/kernels/finite.h"
#include "hone/machine/hardware.h"
#include "hone/machine/stop_signal.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/resize_vocabulary.h"
#include "hone/nn/anatomy.h"
#include "hone/run/base.h"
#include "hone/run/calibration_text.h"
#include "hone/run/compute.h"
#include "hone/run/config_json.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/disk.h"
#include "hone/run/distillation.h"
#include "hone/run/epochs.h"
#include "hone/run/expert_balance.h"
#include "hone/run/guard.h"
#include "hone/run/html_report.h"
#include "hone/run/hub_cache.h"
#include "hone/run/index_training.h"
#include "hone/run/manifest.h"
#include "hone/run/model_files.h"
#include "hone/run/multi_token.h"
#include "hone/run/part.h"
#include "hone/run/plan.h"
#include "hone/run/prompt_answers.h"
#include "hone/run/quantisation.h"
#include "hone/run/report.h"
#include "hone/run/resumption.h"
#include "hone/run/saving.h"
#include "hone/run/sharing.h"
#include "hone/run/student.h"
#include "hone/run/tokenizer.h"
#include "hone/run/training.h"
#include "hone/run/vocabulary.h"
#include "hone/train/progress.h"

namespace hone::run {
namespace {

/// The first parameter that holds an infinity or a NaN, if any does.
std::optional<std::string> not_finite(const model::Decoder& decoder) {
  for (const auto& parameter : decoder->named_parameters()) {
    if (!kernels::all_finite(parameter.value())) return parameter.key();
  }
  return std::nullopt;
}

/// The resolved recipe of the run: a part's, which holds more, or its own.
Json recipe_of(const Config& config, const std::vector<Part*>& parts) {
  for (const Part* part : parts) {
    if (Json recipe = part->recipe(); !recipe.is_null()) return recipe;
  }
  return config::to_json(config);
}

/// Such a recipe of an older run as it would be written now.
Json reread(const Json& recipe, const std::vector<Part*>& parts) {
  for (const Part* part : parts) {
    if (Json now = part->reread(recipe); !now.is_null()) return now;
  }
  return config::to_json(config::read_config<Config>(recipe));
}

class Run {
 public:
  Run(const Config& config, const Context& context, Cache& cache, const std::vector<Part*>& parts)
      : config_(config),
        context_(context),
        cache_(cache),
        parts_(parts),
        keeps_checkpoints_(
            std::all_of(parts.begin(), parts.end(), std::mem_fn(&Part::keeps_checkpoints))),
        keeps_model_(std::all_of(parts.begin(), parts.end(), std::mem_fn(&Part::keeps_model))),
        folder_(io::RunFolder::create(context.out, context.resume)),
        device_(machine::prepare_device(config.device, config.threads,
                                        derive_seed(config.seed, "torch"))),
        answers_(config.prompts, context.out) {}

  ~Run();

  Report run();

 private:
  /// The report of the run in the folder, if it has ended.
  std::optional<Report> open_folder();
  /// All that needs no weights, so that what is wrong with it shows within seconds: tokenizer,
  /// vocabulary, data, and whether the run will fit.
  void open_text();
  /// Decides what the run computes in, or reads what it was begun with.
  void open_compute();
  void check_plan();
  void open_base();
  void score_base();
  /// Lets the model, which reads by `tokenizer`, answer the recipe's prompts as it is after `step`.
  void ask(const RunTokenizer& tokenizer, int64_t step);
  /// Lets the parts make another model of the base, untrained, and scores it.
  void convert();
  /// Puts the recipe's student in the base's place.
  void cut_base();
  void grow_base();
  void open_training();
  void write_manifest();
  void check_model(train::Outcome& outcome) const;
  /// All up to the trained model.
  train::Outcome work();
  Report finish(train::Outcome outcome);

  const machine::StopSignal stop_;  // of the whole run: no signal is lost between its parts
  Config config_;                   // train.epochs becomes train.steps once the data are loaded
  const Context& context_;
  Cache& cache_;
  const std::vector<Part*>& parts_;
  const bool keeps_checkpoints_, keeps_model_;
  io::RunFolder folder_;
  const machine::DevicePlan device_;
  ComputeChoice compute_;
  PromptAnswers answers_;
  std::optional<RunTokenizer> base_tokenizer_, tokenizer_;  // the same but for a grown vocabulary
  Base base_;
  std::vector<data::DatasetPtr> base_held_out_;  // under the base's tokenizer
  std::optional<text::GrowthResult> growth_;
  Data data_;
  std::unique_ptr<data::Loader> loader_;
  Json student_report_;  // null: none was cut
  std::unique_ptr<DecoderStep> step_;
  std::optional<ModelFiles> files_;
  Json manifest_;
  std::optional<ReadyRun> ready_;
  std::vector<train::Evaluation> evaluations_;
  std::optional<Training> training_;
};

Run::~Run() {
  if (!base_.shared) return;
  model::drop_lora(base_.decoder);
  base_.decoder->set_checkpointing(0);
  cache_.release(std::move(base_));
}

std::optional<Report> Run::open_folder() {
  for (Part* part : parts_) part->opened(folder_);
  const Json recipe = recipe_of(config_, parts_);
  reopen(folder_, recipe, [this](const Json& then) { return reread(then, parts_); });
  folder_.write_json(io::kConfigFile, recipe);
  if (!std::filesystem::exists(folder_.file(io::kReportFile))) return std::nullopt;
  return ended_report(folder_);
}

void Run::open_compute() {
  const std::string manifest = folder_.file(kManifestFile);
  compute_ = folder_.resumed() && std::filesystem::exists(manifest)
                 ? resumed_compute(read_json_file(manifest), device_)
                 : choose_compute(config_, base_config(config_, base_tokenizer_->text), device_);
  compute_.apply();
  if (!context_.judged) log_info(compute_.text());
}

void Run::open_text() {
  if (!context_.judged) log_info(machine::thread_count(config_.threads).text());
  base_tokenizer_ = tokenizer_ = cache_.tokenizer(config_);
  open_compute();
  machine::StopSignal::check();
  base_held_out_ = load_held_out(config_, *tokenizer_, cache_);
  machine::StopSignal::check();
  if (config_.vocabulary.grows()) {
    const auto folder = keeps_checkpoints_ ? std::optional(folder_.path()) : std::nullopt;
    growth_ = grow_vocabulary(config_, tokenizer_->text.tokenizer, folder);
    tokenizer_->text.tokenizer = growth_->tokenizer;
    tokenizer_->grown = true;
    machine::StopSignal::check();
  }
  if (config_.train.only_evaluates()) {
    data_.held_out = base_held_out_;
  } else {
    data_ = load_data(config_, *tokenizer_, cache_);
    loader_ = make_loader(config_, *tokenizer_, data_.train);
    config_.train.steps = planned_steps(config_, *loader_);
    if (config_.train.epochs) log_info(describe_epochs(config_));
  }
  if (!context_.judged) check_plan();
}

void Run::check_plan() {
  const int64_t added = growth_ ? std::ssize(growth_->added) : 0;
  const Json base = base_config(config_, base_tokenizer_->text);
  PlanChanges changes;
  for (const Part* part : parts_) changes += part->changes();
  const Plan plan =
      predict_run({config_, base, tokenizer_->text, added, data_, device_, compute_, changes});
  if (!context_.force) {
    require_fit(plan);
  } else if (!plan.fits) {
    log_warning("--force: the run begins although it does not fit:\n" + plan.text);
  }
  if (config_.train.only_evaluates()) return;
  const DiskSizes sizes = disk_sizes(config_, plan.memory, device_.weights, changes.snapshots);
  check_disk(folder_.path(), disk_need(config_, sizes, std::ssize(folder_.checkpoints())));
}

void Run::open_base() {
  machine::StopSignal::check();
  base_ = cache_.base(config_, base_tokenizer_->text, device_);
  if (const auto name = not_finite(base_.decoder)) {
    log_warning("the model's " + *name + " holds numbers that are not finite");
  }
  machine::StopSignal::check();
}

void Run::score_base() {
  folder_.metrics().rewind(-1);
  evaluations_.push_back(cache_.base_scores(config_, [this]() -> train::Evaluation {
    DecoderStep step(base_.decoder, {1.0});
    const auto sets =
        evaluation_sets(base_held_out_, base_held_out_, config_.data.tokens_per_batch);
    return {0, train::evaluate(sets, [&](const data::Batch& batch) { return step.nll(batch); })};
  }));
  for (Part* part : parts_) part->scored(evaluations_[0]);
  log_info(train::describe(evaluations_[0]));
  folder_.metrics().write(train::evaluation_row(evaluations_[0]));
  ask(*base_tokenizer_, evaluations_[0].step);
}

void Run::ask(const RunTokenizer& tokenizer, int64_t step) {
  if (!answers_.any()) return;
  const auto stops =
      config_.model ? infer::eos_ids(model_folder(*config_.model)) : std::vector<int64_t>();
  answers_.ask(base_.decoder, tokenizer.text, stops, step);
}

void Run::convert() {
  files_.emplace(folder_, config_, base_, /*grown=*/false);
  write_tokenizer(*tokenizer_, files_->tokenizer_folder());
  const auto sets = evaluation_sets(base_held_out_, base_held_out_, config_.data.tokens_per_batch);
  for (Part* part : parts_) {
    part->convert({config_, base_.decoder, data_, sets, saved_type(base_, config_.save.dtype)});
  }
  DecoderStep step(base_.decoder, {1.0});
  evaluations_.push_back(
      {0, train::evaluate(sets, [&](const data::Batch& batch) { return step.nll(batch); })});
  log_info(train::describe(evaluations_.back()));
  folder_.metrics().write(train::evaluation_row(evaluations_.back()));
}

void Run::cut_base() {
  if (!config_.student) return;
  base_.quantised = nullptr;
  const std::string file = folder_.file(kStudentFile);
  if (folder_.newest() &&
      std::filesystem::exists(file)) {  // whose weights come from the checkpoint
    const Json kept = read_json_file(file);
    student_report_ = kept.at("report");
    base_.config = kept.at("config");
    base_.decoder = model::make_decoder(model::DecoderConfig::from_json(base_.config, file),
                                        device_.device, device_.weights);
    return;
  }
  const int64_t whole = nn::parameters(*base_.decoder);
  const int64_t in_blocks = parameters_in_blocks(base_.decoder);
  auto [decoder, config] =
      cut_student({base_.decoder, base_.config}, *config_.student,
                  calibration_text(data_.train, config_.student->calibration_tokens,
                                   config_.data.tokens_per_batch, device_.device));
  base_.decoder = std::move(decoder);
  base_.config = std::move(config);
  student_report_ = student_report(base_.decoder, whole, in_blocks);
  log_info(fmt::format("the student has {} parameters of {}, {} of {} without embedding and head",
                       student_report_.at("parameters").dump(), whole,
                       student_report_.at("parameters_in_blocks").dump(), in_blocks));
  DecoderStep step(base_.decoder, {1.0});
  const auto sets = evaluation_sets(base_held_out_, base_held_out_, config_.data.tokens_per_batch);
  const train::Evaluation scores{
      0, train::evaluate(sets, [&](const data::Batch& batch) { return step.nll(batch); })};
  log_info("the student, untrained: " + train::describe(scores));
  student_report_["perplexity"] = train::perplexities(scores.scores);
  folder_.write_json(kStudentFile, {{"config", base_.config}, {"report", student_report_}});
}

void Run::grow_base() {
  if (!growth_) return;
  model::NewRows rows;
  for (const text::GrownToken& token : growth_->added) rows.emplace_back(token.id, token.pieces);
  model::resize_vocabulary(
      base_.decoder, std::max(base_.decoder->config().vocab_size, growth_->tokenizer.vocab_size()),
      rows);
}

void Run::open_training() {
  files_.emplace(folder_, config_, base_, growth_.has_value());
  if (keeps_model_ || keeps_checkpoints_) {
    write_tokenizer(*tokenizer_, files_->tokenizer_folder());
  }
  write_manifest();
  if (config_.tuning == Tuning::kLora && !config_.lora.continues()) {
    std::vector<int64_t> token_rows;
    if (growth_) {
      for (const text::GrownToken& token : growth_->added) token_rows.push_back(token.id);
    }
    model::add_lora(base_.decoder, config_.lora, derive_seed(config_.seed, "lora"), token_rows);
  }
  base_.decoder->set_checkpointing(config_.memory.checkpoint_every);
  step_ =
      std::make_unique<DecoderStep>(base_.decoder, domain_weights(config_.weights, data_.domains));
  ready_.emplace(ReadyRun{config_, base_.decoder, *loader_, *step_, data_, folder_, manifest_,
                          tokenizer_->text, saved_type(base_, config_.save.dtype)});
  for (Part* part : parts_) part->open(*ready_);
  training_.emplace(*ready_, *files_, parts_,
                    evaluation_sets(data_.held_out, base_held_out_, config_.data.tokens_per_batch),
                    growth_.has_value(), [this](int64_t step) { ask(*tokenizer_, step); });
}

void Run::write_manifest() {
  manifest_ = make_manifest(context_.app, config_.seed, device_, compute_.compute,
                            base_.weights_hash, data_.json());
  if (folder_.resumed() && std::filesystem::exists(folder_.file(kManifestFile))) {
    const Json begun = read_json_file(folder_.file(kManifestFile));
    check_same_inputs(begun, manifest_);
    if (begun.contains(kLengthened)) manifest_[kLengthened] = begun.at(kLengthened);
  }
  folder_.write_json(kManifestFile, manifest_);
}

/// What stands against writing the model of a run that trained to its end.
void Run::check_model(train::Outcome& outcome) const {
  const bool over =
      outcome.ending == train::Ending::kDone || outcome.ending == train::Ending::kStopped;
  if (!over || !config_.makes_model()) return;
  if (const auto name = not_finite(base_.decoder)) {
    log_warning("no model is saved: its " + *name + " holds numbers that are not finite");
    outcome.ending = train::Ending::kDiverged;
  } else if (keeps_checkpoints_) {  // else what it has trained would be lost
    machine::StopSignal::check();
  }
}

Report Run::finish(train::Outcome outcome) {
  check_model(outcome);
  const bool done = outcome.ending == train::Ending::kDone;
  if (done) {
    for (Part* part : parts_) part->finished(base_.decoder, *tokenizer_);
  }
  const bool went_back = outcome.ending == train::Ending::kStopped && keeps_checkpoints_;
  std::string saved_as;
  if (keeps_model_ && (done || went_back) && config_.makes_model()) {
    saved_as = files_->save();
  }
  EndedRun ended{outcome, evaluations_};
  if (training_) {
    ended.returned_to = training_->returned_to();
    ended.stopped_by = training_->stopped_by();
  }
  Report report{.exit_code = exit_code(outcome),
                .json = make_report({config_, ended, growth_, base_held_out_, data_}),
                .ending = outcome.ending};
  report.json[kComputeKey] = enum_name(compute_.compute);
  if (!saved_as.empty()) report.json["saved_as"] = saved_as;
  if (Json answers = answers_.report(); !answers.is_null()) report.json["answers"] = answers;
  if (!student_report_.is_null()) report.json["student"] = student_report_;
  for (Part* part : parts_) part->report(ended, report.json);
  report.summary = summary_text(config_, outcome, report.json, folder_.path());
  if (outcome.ending != train::Ending::kSignal) {
    run::write_report(folder_.path(), report.json);
  } else if (keeps_checkpoints_) {
    report.summary +=
        fmt::format("\ngo on with: {} --resume --out {}", context_.app, folder_.path());
  }
  return report;
}

train::Outcome Run::work() {
  open_text();
  open_base();
  if (!folder_.newest()) score_base();
  if (config_.train.only_evaluates()) {
    write_manifest();
    if (config_.makes_model()) convert();
    return {.measured = true};
  }
  machine::StopSignal::check();
  cut_base();
  grow_base();
  open_training();
  return training_->run(evaluations_);
}

Report Run::run() {
  if (auto ended = open_folder()) return *std::move(ended);
  train::Outcome outcome;
  try {
    outcome = work();
    return finish(outcome);
  } catch (const machine::Interrupted&) {  // between the loops, which save what they have
    outcome.ending = train::Ending::kSignal;
    outcome.signal = machine::StopSignal::received();
    return finish(outcome);
  }
}

}  // namespace

Report execute(const Config& config, const Context& context, const std::vector<Part*>& parts) {
  check_files(config);
  Cache own;
  Guard guard(config.guard);
  std::vector<Part*> all = parts;
  std::optional<Sharing> sharing;  // the first: others find the decoder as it will be
  if (config.sharing) all.insert(all.begin(), &sharing.emplace(*config.sharing));
  if (config.guard.domain) all.push_back(&guard);
  ExpertBalance experts(config.experts);
  all.push_back(&experts);
  std::optional<Distillation> distillation;
  if (config.distillation) all.push_back(&distillation.emplace(*config.distillation));
  std::optional<Quantisation> quantisation;
  if (config.quantisation) all.push_back(&quantisation.emplace(*config.quantisation));
  MultiToken multi_token(config.multi_token);
  if (config.multi_token.train) all.push_back(&multi_token);
  IndexTraining indexer(config.indexer);
  if (config.indexer.train != nn::IndexLearning::kOff) all.push_back(&indexer);
  return Run(config, context, context.cache ? *context.cache : own, all).run();
}

}  // namespace hone::run

#include "hone/run/run.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/data/loader.h"
#include "hone/infer/sampling.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/kernels/finite.h"
#include "hone/machine/hardware.h"
#include "hone/machine/stop_signal.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/pruned/export.h"
#include "hone/model/resize_vocabulary.h"
#include "hone/run/base.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/disk.h"
#include "hone/run/epochs.h"
#include "hone/run/guard.h"
#include "hone/run/html_report.h"
#include "hone/run/hub_cache.h"
#include "hone/run/manifest.h"
#include "hone/run/optimizer.h"
#include "hone/run/plan.h"
#include "hone/run/prompt_answers.h"
#include "hone/run/report.h"
#include "hone/run/resumption.h"
#include "hone/run/saving.h"
#include "hone/run/tokenizer.h"
#include "hone/run/vocabulary.h"
#include "hone/train/progress.h"
#include "hone/train/resume.h"

namespace hone::run {
namespace {

constexpr const char* kEmbeddings = "embeddings";
constexpr const char* kMain = train::kMainPhase;

bool is_embedding(const std::string& parameter) {
  return parameter.find("embed_tokens") != std::string::npos ||
         parameter.find("lm_head") != std::string::npos;
}

/// The first parameter that holds an infinity or a NaN, if any does.
std::optional<std::string> not_finite(const model::Decoder& decoder) {
  for (const auto& parameter : decoder->named_parameters()) {
    if (!kernels::all_finite(parameter.value())) return parameter.key();
  }
  return std::nullopt;
}

class Run {
 public:
  Run(const Config& config, const Context& context, Cache& cache, const TrialHooks* trial,
      Extension& extension)
      : config_(config),
        context_(context),
        cache_(cache),
        trial_(trial),
        extension_(extension),
        folder_(io::RunFolder::create(context.out, context.resume)),
        device_(machine::prepare_device(config.device, config.threads,
                                        derive_seed(config.seed, "torch"))),
        guard_(config.guard),
        answers_(config.prompts, context.out) {}

  ~Run();

  Report run();

 private:
  /// The report of the run in the folder, if it has ended.
  std::optional<Report> open_folder();
  /// All that needs no weights, so that what is wrong with it shows within seconds: tokenizer,
  /// vocabulary, data, and whether the run will fit.
  void open_text();
  void check_plan();
  void open_base();
  void score_base();
  /// Lets the model, which reads by `tokenizer`, answer the recipe's prompts as it is after `step`.
  void ask(const RunTokenizer& tokenizer, int64_t step);
  void grow_base();
  void open_training();
  void write_manifest();
  train::Task make_task();
  /// Whether the run goes on after an evaluation: what the guard and the search say. Nothing
  /// follows the `last`.
  bool goes_on(const train::Evaluation& evaluation, bool last);
  void begin_guard(const train::Evaluation& evaluation);
  /// Moves the mix to where the guard wants it.
  void rebalance();
  train::Outcome run_phase(const train::Phase& phase, const train::TrainOptions& options,
                           bool embeddings_only);
  train::Outcome train_all();
  void save_model();
  /// The base's weights into the run folder's `name`.
  void save_weights(const std::string& name);
  void check_model(train::Outcome& outcome);
  /// All up to the trained model.
  train::Outcome work();
  Report finish(train::Outcome outcome);

  std::string tokenizer_folder() const { return folder_.file("tokenizer"); }
  bool pruned() const { return !base_.decoder->config().pruned.empty(); }
  /// Whether the adapter's base is no longer the recipe's model.
  bool own_base() const { return growth_ || pruned() || base_.changed; }
  /// What an adapter names as its base, from any folder: the model, or its copy, grown or pruned.
  std::string adapter_base() const {
    return own_base() ? std::filesystem::weakly_canonical(folder_.file("base")).string()
                      : base_.name;
  }

  const machine::StopSignal stop_;  // of the whole run: no signal is lost between its parts
  Config config_;                   // train.epochs becomes train.steps once the data are loaded
  const Context& context_;
  Cache& cache_;
  const TrialHooks* const trial_;  // null for a run of its own
  Extension& extension_;
  io::RunFolder folder_;
  const machine::DevicePlan device_;
  Guard guard_;
  PromptAnswers answers_;
  std::optional<RunTokenizer> base_tokenizer_, tokenizer_;  // the same but for a grown vocabulary
  Base base_;
  std::vector<data::DatasetPtr> base_held_out_;  // under the base's tokenizer
  std::optional<text::GrowthResult> growth_;
  Data data_;
  std::unique_ptr<data::Loader> loader_;
  std::unique_ptr<DecoderStep> step_;
  Json manifest_;
  std::optional<ReadyRun> parts_;
  std::vector<train::Evaluation> evaluations_;
  std::optional<int64_t> returned_to_;  // step that a guard's stop went back to
  bool stopped_by_search_ = false;
  std::string saved_as_;  // types of the saved model; "" while there is none
};

Run::~Run() {
  if (!base_.shared) return;
  model::drop_lora(base_.decoder);
  base_.decoder->set_checkpointing(0);
  cache_.release(std::move(base_));
}

std::optional<Report> Run::open_folder() {
  extension_.opened(folder_);
  reopen(folder_, context_.config, [this](const Json& then) { return extension_.reread(then); });
  folder_.write_json(io::kConfigFile, context_.config);
  if (!std::filesystem::exists(folder_.file(io::kReportFile))) return std::nullopt;
  return ended_report(folder_);
}

void Run::open_text() {
  if (!trial_) log_info(machine::thread_count(config_.threads).text());
  base_tokenizer_ = tokenizer_ = cache_.tokenizer(config_);
  machine::StopSignal::check();
  base_held_out_ = load_held_out(config_, *tokenizer_, cache_);
  machine::StopSignal::check();
  if (config_.vocabulary.grows()) {
    const auto folder = trial_ ? std::nullopt : std::optional(folder_.path());
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
    if (trial_ && trial_->planned) trial_->planned(config_.train.steps);
  }
  if (!trial_) check_plan();  // a search has judged its trials
}

void Run::check_plan() {
  const int64_t added = growth_ ? std::ssize(growth_->added) : 0;
  const Json base = base_config(config_, base_tokenizer_->text);
  const Plan plan =
      predict_run({config_, base, tokenizer_->text, added, data_, device_, extension_.changes()});
  if (!context_.force) {
    require_fit(plan);
  } else if (!plan.fits) {
    log_warning("--force: the run begins although it does not fit:\n" + plan.text);
  }
  if (config_.train.only_evaluates()) return;
  const DiskSizes sizes =
      disk_sizes(config_, plan.memory, device_.weights, extension_.changes().snapshots);
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
  guard_.set_reference(evaluations_[0].scores);
  log_info(train::describe(evaluations_[0]));
  folder_.metrics().write(train::evaluation_row(evaluations_[0]));
  ask(*base_tokenizer_, evaluations_[0].step);
}

void Run::ask(const RunTokenizer& tokenizer, int64_t step) {
  if (trial_) return;
  const auto stops =
      config_.model ? infer::eos_ids(model_folder(*config_.model)) : std::vector<int64_t>();
  answers_.ask(base_.decoder, tokenizer.text, stops, step);
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
  if (!trial_ || trial_->save_model) write_tokenizer(*tokenizer_, tokenizer_folder());
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
  parts_.emplace(ReadyRun{config_, base_.decoder, *loader_, *step_, data_, folder_, manifest_});
  extension_.open(*parts_);
}

void Run::write_manifest() {
  manifest_ = make_manifest(context_.app, config_.seed, device_, base_.weights_hash, data_.json());
  if (folder_.resumed() && std::filesystem::exists(folder_.file(kManifestFile))) {
    const Json begun = read_json_file(folder_.file(kManifestFile));
    check_same_inputs(begun, manifest_);
    if (begun.contains(kLengthened)) manifest_[kLengthened] = begun.at(kLengthened);
  }
  folder_.write_json(kManifestFile, manifest_);
}

train::Task Run::make_task() {
  train::Task task;
  task.next_batch = [this] { return next_counting(*loader_, *step_); };
  task.loss = [this](const data::Batch& batch) { return step_->loss(batch); };
  task.nll = [this](const data::Batch& batch) { return step_->nll(batch); };
  task.evaluation = evaluation_sets(data_.held_out, base_held_out_, config_.data.tokens_per_batch);
  if (!trial_) {
    task.save = [this](const std::string& folder) {
      write_decoder(folder, base_.decoder, base_.config, tokenizer_folder(), adapter_base());
      return Json{{"loader", loader_->state()},
                  {"guard", guard_.state()},
                  {"extension", extension_.save()}};
    };
    task.load = [this](const std::string& folder, const Json& state) {
      extension_.load(state.at("extension"));
      read_decoder(folder, base_.decoder, adapter_base());
      loader_->restore(state.at("loader"));
      guard_.restore(state.at("guard"));
    };
  }
  if (data_.train.size() > 1) {
    task.extra_metrics = [this] {
      Json shares = Json::object();
      const std::vector<double> values = loader_->shares();
      for (size_t i = 0; i < values.size(); ++i) shares[data_.train[i]->name] = values[i];
      return Json{{"shares", std::move(shares)}};
    };
  }
  return task;
}

bool Run::goes_on(const train::Evaluation& evaluation, bool last) {
  if (trial_ && !trial_->evaluated(evaluation)) stopped_by_search_ = true;
  const bool passed = guard_.judge(evaluation.scores);
  if (stopped_by_search_) return false;
  if (config_.guard.action == GuardAction::kStop) return passed;
  if (config_.guard.domain && !last) rebalance();
  return true;
}

void Run::begin_guard(const train::Evaluation& evaluation) {
  guard_.begin(evaluation.scores);
  if (!guard_.ratio() || guard_.held()) return;
  log_warning(fmt::format(
      "guard: perplexity of {} is {:.3f} times that of the base before the first guarded step, "
      "limit {}; until it has been within, it may only get no worse",
      *config_.guard.domain, *guard_.ratio(), config_.guard.max_ratio));
}

void Run::rebalance() {
  const std::string& domain = *config_.guard.domain;
  std::vector<std::string> domains;
  for (const data::DatasetPtr& set : data_.train) domains.push_back(set->domain);
  const double share = share_of(domain, loader_->shares(), domains);
  const auto wanted = guard_.next_share(share);
  if (wanted) {
    loader_->set_weights(with_share(loader_->weights(), domain, domains, share, *wanted));
  } else if (guard_.held()) {
    return;
  }
  const std::string text = fmt::format(
      "guard: perplexity of {} is {:.3f} times that of the base, limit {}; its share of the mix {}",
      domain, guard_.ratio().value_or(std::nan("")), config_.guard.max_ratio,
      wanted ? fmt::format("goes from {:.3f} to {:.3f}", share, *wanted)
             : fmt::format("stays at {:.3f}", share));
  guard_.held() ? log_info(text) : log_warning(text);
}

train::Outcome Run::run_phase(const train::Phase& phase, const train::TrainOptions& options,
                              bool embeddings_only) {
  train::Task task = make_task();
  if (!embeddings_only) {
    task.save_evaluated = config_.guard.domain && config_.guard.action == GuardAction::kStop;
    task.first_evaluation = [this](const train::Evaluation& e) { begin_guard(e); };
    task.after_evaluation = [this](const train::Evaluation& e, bool last) {
      return goes_on(e, last);
    };
  }
  model::NamedTensors parameters, frozen;
  for (const auto& named : model::trainable_parameters(base_.decoder)) {
    (embeddings_only && !is_embedding(named.first) ? frozen : parameters).push_back(named);
  }
  for (const auto& [name, parameter] : frozen) parameter.set_requires_grad(false);
  const auto optimizer = make_optimizer(options, parameters);
  if (!embeddings_only) extension_.attach(task, *optimizer);
  task.after_evaluation = [this, judge = std::move(task.after_evaluation)](
                              const train::Evaluation& evaluation, auto... more) {
    ask(*tokenizer_, evaluation.step);
    return !judge || judge(evaluation, more...);
  };
  train::Outcome outcome = train::run_loop(options, *optimizer, task, folder_, phase, evaluations_);
  for (const auto& [name, parameter] : frozen) parameter.set_requires_grad(true);
  if (outcome.ending == train::Ending::kStopped && !trial_) {
    const double ratio = *guard_.ratio(), limit = guard_.limit();
    returned_to_ = train::return_to_passed(folder_, task);
    log_warning(
        fmt::format("guard: perplexity of {} is {:.3f} times that of the base, over {}; the "
                    "model goes back to step {} and the run stops",
                    *config_.guard.domain, ratio, limit, *returned_to_));
  }
  if (!embeddings_only) extension_.close();
  return outcome;
}

train::Outcome Run::train_all() {
  const auto resumed = train::checkpoint_phase(folder_);
  const int64_t embedding_steps = config_.vocabulary.embedding_steps;
  train::Phase phase{kMain, embedding_steps, growth_.has_value()};
  if (embedding_steps > 0 && resumed != kMain) {
    train::TrainOptions options = config_.train;
    options.steps = embedding_steps;
    options.epochs.reset();
    options.lr = config_.vocabulary.embedding_lr;
    options.weight_decay = 0;
    const train::Outcome outcome =
        run_phase({kEmbeddings, 0, phase.evaluate_first, kEmbeddings}, options, true);
    if (outcome.ending != train::Ending::kDone) return outcome;
    phase.evaluate_first = false;
    phase.seconds = outcome.seconds;
  }
  return run_phase(phase, config_.train, false);
}

void Run::save_model() {
  model::Decoder& decoder = base_.decoder;
  if (config_.tuning == Tuning::kLora) {
    io::AtomicFolder adapter(folder_.file("adapter"), io::AtomicFolder::Existing::kReplace);
    io::AdapterFiles files = pruned() ? model::exported_adapter(decoder, adapter_base())
                                      : model::adapter_files(decoder, adapter_base());
    io::write_adapter(adapter.path(), in_save_types(std::move(files), base_, config_.save.dtype));
    adapter.commit();
    if (own_base()) save_weights("base");
    model::merge_lora(decoder);
    base_.shared = false;
  }
  save_weights("model");
}

void Run::save_weights(const std::string& name) {
  const std::string folder = folder_.file(name);
  const model::NamedTensors tensors = base_.decoder->hf_tensors();
  const io::TensorTypes types = save_types(base_, config_.save.dtype);
  saved_as_ = types_text(tensors, types);
  log_info(fmt::format("the {} is saved as {}", name, saved_as_));
  if (pruned()) {
    const model::ExportForm form = model::export_pruned(folder, folder + "-compact", base_.decoder,
                                                        base_.config, tokenizer_folder(), types);
    log_info(fmt::format("the pruned {} is in {} ({} form{})", name, folder, enum_name(form),
                         form == model::ExportForm::kDirect
                             ? ""
                             : "; " + folder + "-compact is smaller and faster, for hone"));
    return;
  }
  io::save_checkpoint(folder, model::decoder_config_json(base_.decoder, base_.config, types),
                      tensors, {.source_folder = tokenizer_folder(), .types = types});
}

/// What stands against writing the model of a run that trained to its end.
void Run::check_model(train::Outcome& outcome) {
  const bool over =
      outcome.ending == train::Ending::kDone || outcome.ending == train::Ending::kStopped;
  if (!over || config_.train.only_evaluates()) return;
  if (const auto name = not_finite(base_.decoder)) {
    log_warning("no model is saved: its " + *name + " holds numbers that are not finite");
    outcome.ending = train::Ending::kDiverged;
  } else if (!trial_) {
    machine::StopSignal::check();
  }
}

Report Run::finish(train::Outcome outcome) {
  check_model(outcome);
  Report report{outcome.ending, outcome.signal};
  const bool done = outcome.ending == train::Ending::kDone;
  if (trial_ && done) trial_->trained(base_.decoder, *tokenizer_);
  const bool saved =
      trial_ ? done && trial_->save_model : done || outcome.ending == train::Ending::kStopped;
  if (saved && !config_.train.only_evaluates()) save_model();
  report.json = make_report({config_, outcome, evaluations_, growth_, base_held_out_, data_,
                             returned_to_, stopped_by_search_});
  if (!saved_as_.empty()) report.json["saved_as"] = saved_as_;
  if (Json answers = answers_.report(); !answers.is_null()) report.json["answers"] = answers;
  extension_.report(report.json);
  if (const std::string verdict = guard_verdict(report.json); !verdict.empty()) {
    report.json.at("guard").at("verdict") == "held" ? log_info(verdict) : log_warning(verdict);
  }
  if (outcome.ending != train::Ending::kSignal) run::write_report(folder_.path(), report.json);
  report.summary = summary_text(config_, outcome, report.json, folder_.path());
  if (outcome.ending == train::Ending::kSignal && !trial_) {
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
    return {};
  }
  machine::StopSignal::check();
  grow_base();
  open_training();
  return train_all();
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

Report execute(const Config& config, const Context& context, const TrialHooks* trial,
               Extension* extension) {
  check_files(config);
  Cache own;
  Extension none;
  return Run(config, context, trial ? trial->cache : own, trial, extension ? *extension : none)
      .run();
}

}  // namespace hone::run

#include "hone/paths/domain.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "hone/core/hardware.h"
#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/data/loader.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/io/report.h"
#include "hone/model/adapter.h"
#include "hone/model/load.h"
#include "hone/model/pruned_export.h"
#include "hone/model/vocabulary.h"
#include "hone/paths/base.h"
#include "hone/paths/decoder_step.h"
#include "hone/paths/domain_data.h"
#include "hone/paths/domain_report.h"
#include "hone/paths/guard.h"
#include "hone/paths/manifest.h"
#include "hone/paths/tokenizer_files.h"
#include "hone/paths/vocabulary.h"
#include "hone/train/progress.h"
#include "hone/train/resume.h"

namespace hone::paths {
namespace {

constexpr const char* kEmbeddings = "embeddings";
constexpr const char* kMain = "main";

bool is_embedding(const std::string& parameter) {
  return parameter.find("embed_tokens") != std::string::npos ||
         parameter.find("lm_head") != std::string::npos;
}

/// A resumed run must be the run that was begun.
void check_same_config(const Json& then, const Json& now) {
  std::vector<Problem> problems;
  for (const Json& change : Json::diff(then, now)) {
    problems.push_back({change.at("path"),
                        "differs from the run that is resumed; give it the run's own config.json, "
                        "or begin a new run in another --out"});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

class DomainRun {
 public:
  DomainRun(const DomainConfig& config, const RunContext& context, RunCache& cache,
            const TrialHooks* trial, RunExtension& extension)
      : config_(config),
        context_(context),
        cache_(cache),
        trial_(trial),
        extension_(extension),
        folder_(io::RunFolder::create(context.out, context.resume)),
        device_(prepare_device(config.device, config.threads, derive_seed(config.seed, "torch"))),
        guard_(config.guard) {}

  ~DomainRun();

  RunReport run();

 private:
  /// The report of the run in the folder, if it has ended.
  std::optional<RunReport> open_folder();
  void open_base();
  void score_base();
  void grow();
  void open_data();
  void write_manifest();
  train::Task make_task();
  /// Whether the run goes on after an evaluation: what the guard and the search say.
  bool goes_on(const train::Evaluation& evaluation);
  train::Outcome run_phase(const train::Phase& phase, const train::TrainOptions& options,
                           bool embeddings_only);
  train::Outcome train_all();
  void save_model();
  /// The base's weights into the run folder's `name`.
  void save_weights(const std::string& name);
  RunReport finish(const train::Outcome& outcome);

  std::string tokenizer_folder() const { return folder_.file("tokenizer"); }
  bool pruned() const { return !base_.decoder->config().pruned.empty(); }
  /// Whether the adapter's base is no longer the recipe's model.
  bool own_base() const { return growth_ || pruned(); }
  /// What an adapter names as its base: the model, or its copy, grown or pruned.
  std::string adapter_base() const { return own_base() ? folder_.file("base") : base_.name; }

  const DomainConfig& config_;
  const RunContext& context_;
  RunCache& cache_;
  const TrialHooks* const trial_;  // null for a run of its own
  RunExtension& extension_;
  io::RunFolder folder_;
  const DevicePlan device_;
  Guard guard_;
  std::optional<RunTokenizer> tokenizer_;
  Base base_;
  std::vector<data::DatasetPtr> base_held_out_;  // under the base's tokenizer
  std::optional<text::GrowthResult> growth_;
  DomainData data_;
  std::unique_ptr<data::Loader> loader_;
  std::unique_ptr<DecoderStep> step_;
  Json manifest_;
  std::optional<RunParts> parts_;
  std::vector<train::Evaluation> evaluations_;
  std::optional<int64_t> returned_to_;  // step that a guard's stop went back to
  bool stopped_by_search_ = false;
};

DomainRun::~DomainRun() {
  if (!base_.shared) return;
  model::drop_lora(base_.decoder);
  base_.decoder->set_checkpointing(0);
  cache_.release(std::move(base_));
}

std::optional<RunReport> DomainRun::open_folder() {
  if (std::filesystem::exists(folder_.file(io::kConfigFile)) && folder_.resumed()) {
    check_same_config(read_json_file(folder_.file(io::kConfigFile)), context_.config);
  }
  folder_.write_json(io::kConfigFile, context_.config);
  if (!std::filesystem::exists(folder_.file(io::kReportFile))) return std::nullopt;
  RunReport report{.json = read_json_file(folder_.file(io::kReportFile))};
  report.summary = fmt::format("the run in {} has ended already ({})", folder_.path(),
                               report.json.at("ending").get<std::string>());
  return report;
}

void DomainRun::open_base() {
  tokenizer_ = cache_.tokenizer(config_);
  base_ = cache_.base(config_, tokenizer_->text, device_);
  base_held_out_ = load_held_out(config_, *tokenizer_, cache_);
}

void DomainRun::score_base() {
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
}

void DomainRun::grow() {
  if (config_.vocabulary.new_tokens == 0) return;
  growth_ = grow_vocabulary(config_, tokenizer_->text.tokenizer);
  model::NewRows rows;
  for (const text::GrownToken& token : growth_->added) rows.emplace_back(token.id, token.pieces);
  tokenizer_->text.tokenizer = growth_->tokenizer;
  tokenizer_->grown = true;
  model::resize_vocabulary(
      base_.decoder, std::max(base_.decoder->config().vocab_size, growth_->tokenizer.vocab_size()),
      rows);
  log_info(fmt::format("vocabulary: {} new tokens", growth_->added.size()));
}

void DomainRun::open_data() {
  if (!trial_ || trial_->save_model) write_tokenizer(*tokenizer_, tokenizer_folder());
  data_ = load_domain_data(config_, *tokenizer_, cache_);
  write_manifest();
  if (config_.tuning == Tuning::kLora) {
    std::vector<int64_t> token_rows;
    if (growth_) {
      for (const text::GrownToken& token : growth_->added) token_rows.push_back(token.id);
    }
    model::add_lora(base_.decoder, config_.lora, derive_seed(config_.seed, "lora"), token_rows);
  }
  base_.decoder->set_checkpointing(config_.memory.checkpoint_every);
  std::shared_ptr<const data::Augmenter> augmenter;
  if (config_.data.augmentation.any()) {
    augmenter = std::make_shared<data::Augmenter>(config_.data.augmentation, tokenizer_->text,
                                                  data_.train, derive_seed(config_.seed, "augment"));
  }
  loader_ = std::make_unique<data::Loader>(
      data_.train,
      data::LoaderOptions{.tokens_per_batch = config_.data.tokens_per_batch,
                          .temperature = config_.data.temperature,
                          .seed = derive_seed(config_.seed, "loader")},
      augmenter);
  step_ =
      std::make_unique<DecoderStep>(base_.decoder, domain_weights(config_.weights, data_.domains));
  parts_.emplace(RunParts{config_, base_.decoder, *loader_, *step_, data_, folder_, manifest_});
  extension_.open(*parts_);
}

void DomainRun::write_manifest() {
  manifest_ = make_manifest(context_.app, config_.seed, device_, base_.weights_hash, data_.json());
  folder_.write_json("manifest.json", manifest_);
}

train::Task DomainRun::make_task() {
  train::Task task;
  task.next_batch = [this] { return loader_->next(); };
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

bool DomainRun::goes_on(const train::Evaluation& evaluation) {
  if (trial_ && !trial_->evaluated(evaluation)) stopped_by_search_ = true;
  const Guard::Verdict verdict = guard_.judge(evaluation.scores);
  if (stopped_by_search_ || verdict == Guard::Verdict::kStop) return false;
  if (verdict == Guard::Verdict::kRebalance) {
    std::vector<std::string> domains;
    for (const data::DatasetPtr& set : data_.train) domains.push_back(set->domain);
    loader_->set_weights(guard_.rebalance(loader_->weights(), domains));
    log_warning(
        fmt::format("guard: perplexity of {} is {:.3f} times that of the base; its "
                    "share of the mix rises",
                    *config_.guard.domain, *guard_.ratio()));
  }
  return true;
}

train::Outcome DomainRun::run_phase(const train::Phase& phase, const train::TrainOptions& options,
                                    bool embeddings_only) {
  train::Task task = make_task();
  if (!embeddings_only) {
    task.save_evaluated = config_.guard.domain && config_.guard.action == GuardAction::kStop;
    task.after_evaluation = [this](const train::Evaluation& e) { return goes_on(e); };
  }
  model::NamedTensors parameters, frozen;
  for (const auto& named : model::trainable_parameters(base_.decoder)) {
    (embeddings_only && !is_embedding(named.first) ? frozen : parameters).push_back(named);
  }
  for (const auto& [name, parameter] : frozen) parameter.set_requires_grad(false);
  kernels::FusedAdamW optimizer(parameters, {.lr = options.lr,
                                             .beta1 = options.beta1,
                                             .beta2 = options.beta2,
                                             .eps = options.eps,
                                             .weight_decay = options.weight_decay});
  if (!embeddings_only) extension_.attach(task, optimizer);
  train::Outcome outcome = train::run(options, optimizer, task, folder_, phase, evaluations_);
  for (const auto& [name, parameter] : frozen) parameter.set_requires_grad(true);
  if (outcome.ending == train::Ending::kStopped && !trial_) {
    const double ratio = *guard_.ratio();
    returned_to_ = train::return_to_checkpoint(folder_, task);
    log_warning(
        fmt::format("guard: perplexity of {} is {:.3f} times that of the base, over {}; the "
                    "model goes back to step {} and the run stops",
                    *config_.guard.domain, ratio, config_.guard.max_ratio, *returned_to_));
  }
  if (!embeddings_only) extension_.close();
  return outcome;
}

train::Outcome DomainRun::train_all() {
  const auto resumed = train::checkpoint_phase(folder_);
  const int64_t embedding_steps = config_.vocabulary.embedding_steps;
  train::Phase phase{kMain, embedding_steps, growth_.has_value()};
  if (embedding_steps > 0 && resumed != kMain) {
    train::TrainOptions options = config_.train;
    options.steps = embedding_steps;
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

void DomainRun::save_model() {
  model::Decoder& decoder = base_.decoder;
  if (config_.tuning == Tuning::kLora) {
    io::AtomicFolder adapter(folder_.file("adapter"), io::AtomicFolder::Existing::kReplace);
    io::write_adapter(adapter.path(), pruned() ? model::exported_adapter(decoder, adapter_base())
                                               : model::adapter_files(decoder, adapter_base()));
    adapter.commit();
    if (own_base()) save_weights("base");
    model::merge_lora(decoder);
    base_.shared = false;
  }
  save_weights("model");
}

void DomainRun::save_weights(const std::string& name) {
  const std::string folder = folder_.file(name);
  if (pruned()) {
    const model::ExportForm form = model::export_pruned(
        folder, folder + "-compact", base_.decoder, base_.config, tokenizer_folder());
    log_info(fmt::format("the pruned {} is in {} ({} form{})", name, folder, enum_name(form),
                         form == model::ExportForm::kDirect
                             ? ""
                             : "; " + folder + "-compact is smaller and faster, for hone"));
    return;
  }
  io::save_checkpoint(folder, model::decoder_config_json(base_.decoder, base_.config),
                      base_.decoder->hf_tensors(), {.source_folder = tokenizer_folder()});
}

RunReport DomainRun::finish(const train::Outcome& outcome) {
  RunReport report{outcome.ending, outcome.signal};
  const bool done = outcome.ending == train::Ending::kDone;
  if (trial_ && done) trial_->trained(base_.decoder, *tokenizer_);
  const bool saved = trial_ ? done && trial_->save_model : done || returned_to_;
  if (saved && config_.train.steps > 0) save_model();
  report.json = domain_report({config_, outcome, evaluations_, growth_, base_held_out_, data_,
                               returned_to_, stopped_by_search_});
  extension_.report(report.json);
  if (outcome.ending != train::Ending::kSignal) io::write_report(folder_.path(), report.json);
  report.summary = domain_summary(config_, outcome, folder_.path());
  return report;
}

RunReport DomainRun::run() {
  if (auto ended = open_folder()) return *std::move(ended);
  open_base();
  if (!folder_.newest()) score_base();
  if (config_.train.steps == 0) {
    data_.held_out = base_held_out_;
    write_manifest();
    return finish({});
  }
  grow();
  open_data();
  return finish(train_all());
}

}  // namespace

RunReport run_domain(const DomainConfig& config, const RunContext& context,
                     const TrialHooks* trial, RunExtension* extension) {
  check_files(config);
  RunCache own;
  RunExtension none;
  return DomainRun(config, context, trial ? trial->cache : own, trial,
                   extension ? *extension : none)
      .run();
}

}  // namespace hone::paths

#include "hone/run/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "hone/core/log.h"
#include "hone/data/loader.h"
#include "hone/model/adapter.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/optimizer.h"
#include "hone/train/resume.h"

namespace hone::run {
namespace {

constexpr const char* kEmbeddings = "embeddings";
constexpr const char* kMain = train::kMainPhase;
constexpr const char* kStoppedBy = "stopped_by";  // in checkpoints

bool is_embedding(const std::string& parameter) {
  return parameter.find("embed_tokens") != std::string::npos ||
         parameter.find("lm_head") != std::string::npos;
}

}  // namespace

Training::Training(ReadyRun& run, const ModelFiles& files, const std::vector<Part*>& parts,
                   std::vector<train::EvaluationSet> evaluation, bool grown,
                   std::function<void(int64_t)> asked)
    : run_(run),
      files_(files),
      parts_(parts),
      evaluation_(std::move(evaluation)),
      grown_(grown),
      asked_(std::move(asked)) {}

train::Task Training::make_task(bool main) {
  train::Task task;
  task.next_batch = [this] { return next_counting(run_.loader, run_.step); };
  task.loss = [this](const data::Batch& batch) { return run_.step.loss(batch); };
  task.nll = [this](const data::Batch& batch) { return run_.step.nll(batch); };
  task.evaluation = evaluation_;
  task.after_evaluation = [this, main](const train::Evaluation& evaluation, bool last) {
    asked_(evaluation.step);
    return !main || passed(evaluation, last);
  };
  if (std::all_of(parts_.begin(), parts_.end(), std::mem_fn(&Part::keeps_checkpoints))) {
    task.save = [this](const std::string& checkpoint) { return save(checkpoint); };
    task.load = [this](const std::string& checkpoint, const Json& state) {
      load(checkpoint, state);
    };
  }
  if (run_.data.train.size() > 1) {
    task.extra_metrics = [this] {
      Json shares = Json::object();
      const std::vector<double> values = run_.loader.shares();
      for (size_t i = 0; i < values.size(); ++i) shares[run_.data.train[i]->name] = values[i];
      return Json{{"shares", std::move(shares)}};
    };
  }
  return task;
}

Json Training::save(const std::string& checkpoint) const {
  files_.write(checkpoint);
  Json state = {{"loader", run_.loader.state()}, {kStoppedBy, stopped_by_}};
  for (const Part* part : parts_) state[part->name()] = part->save();
  return state;
}

void Training::load(const std::string& checkpoint, const Json& state) {
  for (Part* part : parts_) part->load(state.value(part->name(), Json()));
  files_.read(checkpoint);
  run_.loader.restore(state.at("loader"));
  // A run that goes back to where it still passed has been stopped all the same.
  if (stopped_by_.empty()) stopped_by_ = state.value(kStoppedBy, "");
}

bool Training::passed(const train::Evaluation& evaluation, bool last) {
  for (Part* part : parts_) {
    const std::string reason = part->evaluated(evaluation, last || !stopped_by_.empty());
    if (stopped_by_.empty()) stopped_by_ = reason;
  }
  return stopped_by_.empty();
}

train::Outcome Training::run_phase(const train::Phase& phase, const train::TrainOptions& options,
                                   std::vector<train::Evaluation>& evaluations) {
  const bool main = phase.name == kMain;
  train::Task task = make_task(main);
  model::NamedTensors parameters, frozen;
  for (const auto& named : model::trainable_parameters(run_.decoder)) {
    (main || is_embedding(named.first) ? parameters : frozen).push_back(named);
  }
  for (const auto& [name, parameter] : frozen) parameter.set_requires_grad(false);
  const auto optimizer = make_optimizer(options, parameters);
  if (main) {
    for (Part* part : parts_) part->attach(task, *optimizer);
  }
  const train::Outcome outcome =
      train::run_loop(options, *optimizer, task, run_.folder, phase, evaluations);
  for (const auto& [name, parameter] : frozen) parameter.set_requires_grad(true);
  if (outcome.ending == train::Ending::kStopped && task.save_evaluated && task.load) {
    returned_to_ = train::return_to_passed(run_.folder, task);
    log_warning(fmt::format("the model goes back to step {} and the run stops", *returned_to_));
  }
  if (main) {
    std::for_each(parts_.rbegin(), parts_.rend(), [](Part* part) { part->close(); });
  }
  return outcome;
}

train::Outcome Training::run(std::vector<train::Evaluation>& evaluations) {
  const auto resumed = train::checkpoint_phase(run_.folder);
  const VocabularyOptions& vocabulary = run_.config.vocabulary;
  train::Phase phase{kMain, vocabulary.embedding_steps, grown_};
  if (vocabulary.embedding_steps > 0 && resumed != kMain) {
    train::TrainOptions options = run_.config.train;
    options.steps = vocabulary.embedding_steps;
    options.epochs.reset();
    options.lr = vocabulary.embedding_lr;
    options.weight_decay = 0;
    const train::Outcome outcome =
        run_phase({kEmbeddings, 0, phase.evaluate_first, kEmbeddings}, options, evaluations);
    if (outcome.ending != train::Ending::kDone) return outcome;
    phase.evaluate_first = false;
    phase.seconds = outcome.seconds;
  }
  return run_phase(phase, run_.config.train, evaluations);
}

}  // namespace hone::run

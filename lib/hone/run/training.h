/// The training of a run: its phases and their checkpoints, with what joins it.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/run/model_files.h"
#include "hone/run/part.h"
#include "hone/train/loop.h"

namespace hone::run {

class Training {
 public:
  /// All live as long as this; `asked` is called after each evaluation with its step. The
  /// embeddings of a vocabulary that `grown` has are trained alone first, where the recipe says so.
  Training(ReadyRun& run, const ModelFiles& files, const std::vector<Part*>& parts,
           std::vector<train::EvaluationSet> evaluation, bool grown,
           std::function<void(int64_t step)> asked);

  /// All phases, from the newest checkpoint on; `evaluations` as of train::run_loop.
  train::Outcome run(std::vector<train::Evaluation>& evaluations);

  /// Step of the evaluation that a stopped run went back to.
  std::optional<int64_t> returned_to() const { return returned_to_; }
  /// What a part says that stopped the run; "" if none has.
  const std::string& stopped_by() const { return stopped_by_; }

 private:
  train::Task make_task(bool main);
  Json save(const std::string& checkpoint) const;
  void load(const std::string& checkpoint, const Json& state);
  /// Whether the run goes on after an evaluation of the main phase.
  bool passed(const train::Evaluation& evaluation, bool last);
  train::Outcome run_phase(const train::Phase& phase, const train::TrainOptions& options,
                           std::vector<train::Evaluation>& evaluations);

  ReadyRun& run_;
  const ModelFiles& files_;
  const std::vector<Part*>& parts_;
  const std::vector<train::EvaluationSet> evaluation_;
  const bool grown_;
  const std::function<void(int64_t)> asked_;
  std::optional<int64_t> returned_to_;
  std::string stopped_by_;
};

}  // namespace hone::run

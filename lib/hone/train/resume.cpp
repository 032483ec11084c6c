#include "hone/train/resume.h"

#include <torch/cuda.h>
#include <torch/types.h>

#include <map>

#include "hone/core/error.h"
#include "hone/io/atomic.h"
#include "hone/io/safetensors.h"
#include "hone/io/tensors.h"

namespace hone::train {
namespace {

constexpr const char* kOptimizerFile = "/optimizer.safetensors";
constexpr const char* kStateFile = "/state.json";
constexpr const char* kGenerator = "generator.";

/// The default generators that a run draws from, by the name of their device.
std::vector<std::pair<std::string, at::Generator>> generators() {
  std::vector<std::pair<std::string, at::Generator>> list;
  list.emplace_back("cpu", at::globalContext().defaultGenerator(at::kCPU));
  if (torch::cuda::is_available()) {
    list.emplace_back("cuda", at::globalContext().defaultGenerator(at::Device(at::kCUDA, 0)));
  }
  return list;
}

Json evaluations_json(const std::vector<Evaluation>& evaluations) {
  Json list = Json::array();
  for (const Evaluation& evaluation : evaluations) {
    list.push_back({{"step", evaluation.step}, {"scores", scores_json(evaluation.scores)}});
  }
  return list;
}

std::vector<Evaluation> evaluations_from_json(const Json& json) {
  std::vector<Evaluation> evaluations;
  for (const Json& row : json) {
    evaluations.push_back({row.at("step"), scores_from_json(row.at("scores"))});
  }
  return evaluations;
}

const char* ended_name(Ending ending) { return ending == Ending::kStopped ? "stopped" : "done"; }

Json position_json(const Position& position) {
  return {{"step", position.step},
          {"tokens", position.tokens},
          {"skipped", position.skipped},
          {"skipped_in_row", position.skipped_in_row},
          {"losses", position.losses},
          {"seconds", position.seconds},
          {"timed_tokens", position.timed_tokens},
          {"timed_seconds", position.timed_seconds},
          {"measured", position.measured},
          {"passed_at", position.passed_at ? Json(*position.passed_at) : Json(nullptr)},
          {"ended", position.ended ? Json(ended_name(*position.ended)) : Json(nullptr)}};
}

/// Checkpoints of older versions, which lack the last keys, were saved after the step's evaluation,
/// and not at all where that did not pass: the last evaluation that they hold did.
Position position_from_json(const Json& document) {
  const Json& json = document.at("position");
  Position position{json.at("step"), json.at("tokens"), json.at("skipped"),
                    json.at("skipped_in_row"), json.at("losses").get<std::deque<double>>()};
  position.seconds = json.value("seconds", 0.0);
  position.timed_tokens = json.value("timed_tokens", int64_t{0});
  position.timed_seconds = json.value("timed_seconds", 0.0);
  const int64_t here = document.at("first_step").get<int64_t>() + position.step;
  const Json& evaluations = document.at("evaluations");
  const Json evaluated = evaluations.empty() ? Json(nullptr) : evaluations.back().at("step");
  position.measured = json.value("measured", evaluated == here);
  const Json passed = json.value("passed_at", evaluated);
  if (!passed.is_null()) position.passed_at = passed.get<int64_t>();
  const Json ended = json.value("ended", Json());
  if (!ended.is_null()) position.ended = ended == "stopped" ? Ending::kStopped : Ending::kDone;
  return position;
}

void load_optimizer(const std::string& folder, optim::Optimizer& optimizer) {
  const io::Safetensors file(folder + kOptimizerFile);
  std::map<std::string, at::Tensor> state;
  for (const io::TensorInfo& info : file.tensors()) {
    state.emplace(info.name, io::read_tensor(file, info.name));
  }
  optimizer.load_state(state);
  for (auto& [device, generator] : generators()) {
    const auto saved = state.find(kGenerator + device);
    if (saved == state.end()) {
      throw IoError(file.path(), "holds no state of the generator of device " + device +
                                     ": the run was started on another device");
    }
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(saved->second);
  }
}

}  // namespace

void save_checkpoint(io::RunFolder& folder, const Phase& phase, const Position& position,
                     const std::vector<Evaluation>& evaluations, const optim::Optimizer& optimizer,
                     const LoopControl& control, const Task& task) {
  io::AtomicFolder checkpoint = folder.begin_checkpoint(phase.first_step + position.step);
  const auto state = optimizer.state();
  std::vector<std::pair<std::string, at::Tensor>> tensors(state.begin(), state.end());
  for (auto& [device, generator] : generators()) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    tensors.emplace_back(kGenerator + device, generator.get_state());
  }
  io::write_safetensors(checkpoint.path() + kOptimizerFile, tensors);
  const Json task_state = task.save(checkpoint.path());
  const Json control_state = control.save(checkpoint.path());
  const Json document = {{"phase", phase.name},
                         {"first_step", phase.first_step},
                         {"position", position_json(position)},
                         {"evaluations", evaluations_json(evaluations)},
                         {"adaptation", control_state},
                         {"task", task_state}};
  io::replace_file_atomically(checkpoint.path() + kStateFile, document.dump(1));
  checkpoint.commit();
}

std::optional<Resumed> resume_checkpoint(io::RunFolder& folder, const Phase& phase,
                                         optim::Optimizer& optimizer, LoopControl& control,
                                         const Task& task) {
  const auto newest = folder.newest();
  if (!newest) return std::nullopt;
  const Json document = read_json_file(newest->path + kStateFile);
  if (document.at("phase") != phase.name) return std::nullopt;
  task.load(newest->path, document.at("task"));
  load_optimizer(newest->path, optimizer);
  control.load(newest->path, document.value("adaptation", Json()));
  return Resumed{position_from_json(document), evaluations_from_json(document.at("evaluations"))};
}

std::optional<std::string> checkpoint_phase(io::RunFolder& folder) {
  const auto newest = folder.newest();
  if (!newest) return std::nullopt;
  return read_json_file(newest->path + kStateFile).at("phase").get<std::string>();
}

int64_t return_to_passed(io::RunFolder& folder, const Task& task) {
  const auto passed = folder.newest([](const io::CheckpointEntry& entry) {
    return position_from_json(read_json_file(entry.path + kStateFile)).passed_at == entry.step;
  });
  if (!passed) {
    throw Error(folder.path() + ": there is no checkpoint whose evaluation passed to go back to");
  }
  task.load(passed->path, read_json_file(passed->path + kStateFile).at("task"));
  return passed->step;
}

}  // namespace hone::train

#include "hone/run/hidden_matching.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/tensors.h"
#include "hone/model/pruned/layers.h"
#include "hone/run/decoder_step.h"
#include "hone/run/optimizer.h"

namespace hone::run {
namespace {

constexpr const char* kObserver = "distillation";           // of decoders
constexpr const char* kFile = "/distillation.safetensors";  // of checkpoints

std::string projection_name(int64_t layer) { return fmt::format("projection.{}", layer); }

}  // namespace

std::map<int64_t, size_t> layer_map(const model::DecoderConfig& student,
                                    const model::DecoderConfig& teacher, int64_t last) {
  const std::vector<int64_t> mine = model::layer_numbers(student);
  const std::vector<int64_t> theirs = model::layer_numbers(teacher);
  const auto place_of = [&](int64_t number) {
    return static_cast<size_t>(std::find(theirs.begin(), theirs.end(), number) - theirs.begin());
  };
  const bool cut = !student.pruned.empty() &&
                   std::all_of(mine.begin(), mine.end(),
                               [&](int64_t number) { return place_of(number) < theirs.size(); });
  std::map<int64_t, size_t> map;
  const size_t first =
      last > 0 ? mine.size() - std::min(mine.size(), static_cast<size_t>(last)) : 0;
  for (size_t i = first; i < mine.size(); ++i) {
    const double share = static_cast<double>(i + 1) / static_cast<double>(mine.size());
    const auto nth = std::lround(share * static_cast<double>(theirs.size()));
    map[mine[i]] = cut ? place_of(mine[i]) : static_cast<size_t>(std::max(1L, nth) - 1);
  }
  return map;
}

int64_t hidden_bytes(const HiddenOptions& options, const model::DecoderConfig& student,
                     const model::DecoderConfig& teacher, const model::MemoryRequest& request) {
  if (!options.on()) return 0;
  constexpr int64_t kWide = 4;  // wide copies of a layer's output that the distance keeps, or bytes
  const int64_t layers = std::ssize(layer_map(student, teacher, options.last));
  const int64_t outputs = request.tokens_per_batch * teacher.hidden_size;
  // A projection, its gradient and two moments.
  const int64_t projection = student.hidden_size == teacher.hidden_size
                                 ? 0
                                 : 4 * kWide * student.hidden_size * teacher.hidden_size;
  return layers * (outputs * (request.bytes_per_element + kWide * kWide) + projection);
}

HiddenMatching::HiddenMatching(const HiddenOptions& options, model::Decoder student,
                               model::Decoder teacher, uint64_t seed)
    : options_(options),
      student_(std::move(student)),
      teacher_(std::move(teacher)),
      map_(layer_map(student_->config(), teacher_->config(), options.last)) {
  if (student_->hc_head || teacher_->hc_head) {
    throw Error(
        "distillation.hidden: compares outputs of blocks that are one vector a token; those of "
        "deepseek_v4 are several streams");
  }
  const int64_t in = student_->config().hidden_size, out = teacher_->config().hidden_size;
  if (in == out) return;
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  for (const auto& [layer, place] : map_) {
    at::Tensor drawn = at::empty({out, in});
    drawn.normal_(0, 1 / std::sqrt(static_cast<double>(in)), generator);
    projections_[layer] = drawn.to(student_->device(), student_->dtype()).requires_grad_();
  }
}

void HiddenMatching::attach(train::Task& task, const train::TrainOptions& train,
                            DecoderStep& step) {
  step_ = &step;
  if (!projections_.empty()) {
    train::TrainOptions alone = train;
    alone.weight_decay = 0;
    model::NamedTensors parameters;
    for (const auto& [layer, tensor] : projections_) {
      parameters.emplace_back(projection_name(layer), tensor);
    }
    optimizer_ = make_optimizer(alone, parameters);
  }
  step.set_beside([this](const data::Batch& batch) { return loss(batch); });
  task.before_step = [this, steps = train.steps, others = task.before_step](int64_t now) {
    if (others) others(now);
    set_step(now, steps);
  };
  task.after_step = [this, clip = train.clip_norm,
                     others = task.after_step](const train::StepStats& stats) {
    if (others) others(stats);
    if (optimizer_) step_projections(stats, clip);
  };
  shown_.attach(task, train.log_every, [this] { return take(); });
  if (!optimizer_ || !task.save) return;
  task.save = [this, others = task.save](const std::string& folder) {
    const auto all = tensors();
    io::write_safetensors(folder + kFile, {all.begin(), all.end()});
    return others(folder);
  };
  task.load = [this, others = task.load](const std::string& folder, const Json& state) {
    others(folder, state);
    const io::Safetensors file(folder + kFile);
    const torch::NoGradGuard no_grad;
    std::map<std::string, at::Tensor> kept;
    for (const auto& [name, tensor] : tensors()) kept[name] = io::read_tensor(file, name);
    for (auto& [layer, tensor] : projections_) tensor.copy_(kept.at(projection_name(layer)));
    optimizer_->load_state(kept);
  };
}

void HiddenMatching::close(DecoderStep& step) {
  step.set_beside({});
  student_->set_observer(kObserver, {});
  teacher_->set_observer(kObserver, {});
}

void HiddenMatching::set_step(int64_t step, int64_t steps) {
  const double done = static_cast<double>(step - 1) / static_cast<double>(steps);
  weight_ = options_.weight * (options_.until ? std::max(0.0, 1 - done / *options_.until) : 1);
  if (weight_ == 0) {
    student_->set_observer(kObserver, {});
    teacher_->set_observer(kObserver, {});
    return;
  }
  student_->set_observer(kObserver, [this](size_t place, const at::Tensor& x) {
    if (!student_->is_training()) return;
    const int64_t number = model::layer_numbers(student_->config()).at(place);
    if (map_.contains(number)) students_[number] = x;
  });
  teacher_->set_observer(kObserver, [this](size_t place, const at::Tensor& x) {
    const bool mapped = std::any_of(map_.begin(), map_.end(),
                                    [place](const auto& pair) { return pair.second == place; });
    if (mapped) teachers_[place] = x;
  });
}

at::Tensor HiddenMatching::loss(const data::Batch& batch) {
  const auto students = std::exchange(students_, {});
  const auto teachers = std::exchange(teachers_, {});
  if (students.empty()) return {};
  const std::vector<double> weights = step_->token_weights(batch);
  const at::Tensor weights_t =
      torch::tensor(weights, at::kDouble).to(student_->device(), at::kFloat);
  at::Tensor sum;
  for (const auto& [layer, x] : students) {
    const auto projection = projections_.find(layer);
    const at::Tensor distance = loss::hidden_distance(
        options_.distance, x, projection == projections_.end() ? at::Tensor() : projection->second,
        teachers.at(map_.at(layer)), weights_t);
    sum = sum.defined() ? sum + distance : distance;
  }
  sum = sum / static_cast<double>(students.size());
  sum_ += sum.item<double>();
  counted_ += weights_t.sum().item<double>();
  return sum * weight_;
}

std::optional<double> HiddenMatching::take() {
  const double sum = std::exchange(sum_, 0), counted = std::exchange(counted_, 0);
  return counted > 0 ? std::optional(sum / counted) : std::nullopt;
}

void HiddenMatching::step_projections(const train::StepStats& stats, double clip_norm) {
  optimizer_->set_lr(stats.lr);
  if (!stats.skipped && std::isfinite(optimizer_->scale_and_clip(1 / stats.weight, clip_norm))) {
    optimizer_->step();
  }
  optimizer_->zero_grad();
}

std::map<std::string, at::Tensor> HiddenMatching::tensors() const {
  std::map<std::string, at::Tensor> all = optimizer_->state();
  for (const auto& [layer, tensor] : projections_) {
    all[projection_name(layer)] = tensor.detach();
  }
  return all;
}

}  // namespace hone::run

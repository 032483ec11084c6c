// The one file that touches LibTorch's internal autograd interface. SavedVariable asks the default
// engine for hooks; ours answers with the thread's current recorder. See libtorch.md 6 and 13.
#include "hone/nn/checkpointing.h"

#include <torch/autograd.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>
#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/nn/detail/generators.h"

namespace hone::nn {
namespace {

using HooksPtr = std::unique_ptr<torch::autograd::SavedVariableHooks>;

/// Makes the hooks of each tensor saved while it is the thread's current one.
class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual HooksPtr hooks() = 0;
};

thread_local Recorder* current_recorder = nullptr;
thread_local bool in_second_run = false;

/// Makes `recorder` current in this scope; nullptr saves tensors as usual.
class RecorderGuard {
 public:
  explicit RecorderGuard(Recorder* recorder) : previous_(current_recorder) {
    current_recorder = recorder;
  }
  ~RecorderGuard() { current_recorder = previous_; }
  RecorderGuard(const RecorderGuard&) = delete;

 private:
  Recorder* previous_;
};

class HookedEngine : public torch::autograd::Engine {
  HooksPtr get_default_saved_variable_hooks() override {
    return current_recorder ? current_recorder->hooks() : nullptr;
  }
};

/// Leaked, as its threads may outlive static destruction.
torch::autograd::Engine& hooked_engine() {
  static auto* engine = new HookedEngine;
  return *engine;
}

void install_engine() {
  using torch::autograd::Engine;
  static const bool installed = [] {
    if (&Engine::get_default_engine() != &Engine::get_base_engine()) {
      throw Error(
          "checkpoint: another part of this program replaced LibTorch's autograd engine "
          "(Python's torch does), so saved tensors cannot be intercepted");
    }
    torch::autograd::set_default_engine_stub(hooked_engine);
    return true;
  }();
  (void)installed;
}

/// Thrown out of the second run once its last saved tensor is there.
struct Complete {};

/// One checkpointed segment: counts what the first run saves, and runs it again for them.
class Segment : public std::enable_shared_from_this<Segment> {
 public:
  Segment(const Block& block, const at::Tensor& input)
      : block_(block),
        input_(input.detach().set_requires_grad(input.requires_grad())),
        generators_(input.device()) {}

  at::Tensor run(const at::Tensor& input);

  /// The tensor that the first run saved as number `index`.
  at::Tensor take(size_t index) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (index >= saved_.size() || !saved_[index]) recompute();
    return *std::exchange(saved_[index], std::nullopt);
  }

  size_t next_index() { return count_++; }

  /// Keeps the next tensor of the second run; throws Complete after the last.
  void keep(const at::Tensor& tensor) {
    saved_.emplace_back(tensor.detach());
    if (saved_.size() == count_) throw Complete{};
  }

 private:
  void recompute();

  Block block_;
  at::Tensor input_;
  detail::GeneratorStates generators_;
  size_t count_ = 0;
  std::mutex mutex_;
  std::vector<std::optional<at::Tensor>> saved_;
};

/// First run: keeps only a number.
struct DropHooks : torch::autograd::SavedVariableHooks {
  explicit DropHooks(std::shared_ptr<Segment> segment) : segment(std::move(segment)) {}
  void call_pack_hook(const at::Tensor&) override { index = segment->next_index(); }
  at::Tensor call_unpack_hook() override { return segment->take(index); }

  std::shared_ptr<Segment> segment;
  size_t index = 0;
};

/// Second run: hands the tensor to the segment. The second graph itself is never used.
struct KeepHooks : torch::autograd::SavedVariableHooks {
  explicit KeepHooks(Segment* segment) : segment(segment) {}
  void call_pack_hook(const at::Tensor& tensor) override { segment->keep(tensor); }
  at::Tensor call_unpack_hook() override {
    throw Error("checkpoint: a backward pass ran inside the block");
  }

  Segment* segment;
};

/// recomputing() is true while it lives.
class SecondRun {
 public:
  SecondRun() : outer_(std::exchange(in_second_run, true)) {}
  ~SecondRun() { in_second_run = outer_; }
  SecondRun(const SecondRun&) = delete;

 private:
  bool outer_;
};

struct Dropping : Recorder {
  explicit Dropping(std::shared_ptr<Segment> segment) : segment(std::move(segment)) {}
  HooksPtr hooks() override { return std::make_unique<DropHooks>(segment); }
  std::shared_ptr<Segment> segment;
};

struct Keeping : Recorder {
  explicit Keeping(Segment* segment) : segment(segment) {}
  HooksPtr hooks() override { return std::make_unique<KeepHooks>(segment); }
  Segment* segment;
};

at::Tensor Segment::run(const at::Tensor& input) {
  Dropping recorder(shared_from_this());
  const RecorderGuard guard(&recorder);
  return block_(input);
}

void Segment::recompute() {
  saved_.clear();
  saved_.reserve(count_);
  const detail::GeneratorGuard generator_guard(generators_, input_.device());
  Keeping recorder(this);
  const RecorderGuard guard(&recorder);
  const at::AutoGradMode grad_mode(true);
  const SecondRun second_run;
  try {
    block_(input_);
  } catch (const Complete&) {
    return;
  }
  throw Error("checkpoint: the block saved " + std::to_string(count_) +
              " tensors in its first run and only " + std::to_string(saved_.size()) +
              " in its second; it must compute the same both times");
}

}  // namespace

bool recomputing() { return in_second_run; }

at::Tensor checkpoint(const Block& block, const at::Tensor& input) {
  if (!at::GradMode::is_enabled()) return block(input);
  install_engine();
  return std::make_shared<Segment>(block, input)->run(input);
}

}  // namespace hone::nn

/// The random generators that a module draws from, kept and put back.
#pragma once
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

#include <mutex>
#include <utility>
#include <vector>

namespace hone::nn::detail {

/// The state of the CPU's default generator and that of `device`.
class GeneratorStates {
 public:
  explicit GeneratorStates(at::Device device) {
    add(at::detail::getDefaultCPUGenerator());
    if (!device.is_cpu()) add(at::globalContext().defaultGenerator(device));
  }
  void restore() {
    for (auto& [generator, state] : states_) {
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void add(at::Generator generator) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states_.emplace_back(generator, generator.get_state());
  }
  std::vector<std::pair<at::Generator, at::Tensor>> states_;
};

/// Sets the generators to `states` in this scope.
class GeneratorGuard {
 public:
  GeneratorGuard(GeneratorStates& states, at::Device device) : now_(device) { states.restore(); }
  ~GeneratorGuard() { now_.restore(); }
  GeneratorGuard(const GeneratorGuard&) = delete;

 private:
  GeneratorStates now_;
};

}  // namespace hone::nn::detail

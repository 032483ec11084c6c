#include "hone/run/meters.h"

#include <torch/types.h>

#include <cmath>

#include "hone/machine/device.h"
#include "hone/model/decoder.h"
#include "hone/model/pruned/layers.h"
#include "hone/optim/optimizer.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/train/loop.h"

namespace hone::run {
namespace {

constexpr const char* kObserver = "meters";        // of the decoder
constexpr const char* kEmbeddings = "embeddings";  // and norms and heads: of no layer
constexpr double kDomainDecay = 0.9;               // about ten steps count

}  // namespace

Meters::Meters(const SignalOptions& options, ReadyRun& run)
    : options_(options),
      run_(run),
      memory_(machine::device_memory_bytes(run.decoder->device())),
      domains_(run.data.domains.size(), train::Ema(kDomainDecay)) {}

void Meters::attach(optim::Optimizer& optimizer) {
  optimizer_ = &optimizer;
  run_.step.measure_domains();
}

void Meters::before_step(int64_t step) {
  if (!due(step)) return;
  run_.decoder->set_observer(kObserver, [this](size_t layer, const at::Tensor& x) {
    activations_.resize(std::max(activations_.size(), layer + 1));
    activations_[layer] = x.detach().square().mean(at::kFloat).sqrt();
  });
}

void Meters::measure(const train::StepStats& stats, train::Signals& signals) {
  measure_domains(signals);
  if (!due(stats.step)) return;
  run_.decoder->set_observer(kObserver, {});
  if (!stats.skipped) measure_updates(signals);  // else nothing was updated, and nothing settled
  const std::vector<int64_t> layers = model::layer_numbers(run_.decoder->config());
  for (size_t i = 0; i < activations_.size(); ++i) {
    signals.set("activation_rms/" + std::to_string(layers.at(i)), activations_[i].item<double>());
  }
  activations_.clear();
  signals.set("memory_headroom",
              static_cast<double>(machine::memory_headroom_bytes(run_.decoder->device(), memory_)));
}

void Meters::measure_updates(train::Signals& signals) {
  std::map<std::string, optim::UpdateSquares> layers;
  for (const auto& [name, squares] : optimizer_->last_update()) {
    const auto number = model::layer_of(name);
    const auto [layer, first] =
        layers.emplace(number ? std::to_string(*number) : kEmbeddings, squares);
    if (first) continue;
    layer->second.update += squares.update;
    layer->second.weights += squares.weights;
  }
  for (const auto& [layer, squares] : layers) {
    const double norm = std::sqrt(squares.weights.item<double>());
    if (norm > 0) {
      signals.set("update_ratio/" + layer, std::sqrt(squares.update.item<double>()) / norm);
    }
  }
}

void Meters::measure_domains(train::Signals& signals) {
  const at::Tensor sums = run_.step.take_domain_nll();
  for (size_t domain = 0; domain < domains_.size(); ++domain) {
    const auto row = static_cast<int64_t>(domain);
    const double nll = sums[row][0].item<double>(), targets = sums[row][1].item<double>();
    if (targets > 0) domains_[domain].add(nll / targets);
    if (const auto mean = domains_[domain].value()) {
      signals.set("train/" + run_.data.domains[domain], *mean);
    }
  }
}

Json Meters::state() const {
  Json domains = Json::array();
  for (const train::Ema& domain : domains_) domains.push_back(domain.state());
  return {{"domains", domains}};
}

void Meters::restore(const Json& state) {
  for (size_t domain = 0; domain < domains_.size(); ++domain) {
    domains_[domain].restore(state.at("domains").at(domain));
  }
}

}  // namespace hone::run

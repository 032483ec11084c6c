#include "hone/run/knobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <vector>

#include "hone/core/error.h"
#include "hone/data/loader.h"
#include "hone/model/checkpoint.h"
#include "hone/model/decoder.h"
#include "hone/model/pruned/layers.h"
#include "hone/optim/optimizer.h"
#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"

namespace hone::run {
namespace {

constexpr const char* kDropout = "dropout";
constexpr const char* kBranchDropout = "branch_dropout";  // in checkpoints: the knob of full tuning

/// Values by name, some of which an object of numbers replaces.
std::vector<double> replaced(std::vector<double> values, const std::vector<std::string>& names,
                             const Json& changes, const std::string& knob) {
  for (const auto& [name, value] : changes.items()) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      throw Error("the knob " + knob + " has no \"" + name + "\"" + did_you_mean(name, names));
    }
    values[found - names.begin()] = value.get<double>();
  }
  return values;
}

Json by_name(const std::vector<std::string>& names, const std::vector<double>& values) {
  Json object = Json::object();
  for (size_t i = 0; i < names.size(); ++i) object[names[i]] = values[i];
  return object;
}

std::vector<std::string> set_names(const Data& data) {
  std::vector<std::string> names;
  for (const data::DatasetPtr& set : data.train) names.push_back(set->name);
  return names;
}

}  // namespace

ModelKnobs::ModelKnobs(ReadyRun& run, optim::Optimizer& optimizer, train::Knobs& knobs)
    : run_(run),
      optimizer_(optimizer),
      knobs_(knobs),
      dropout_(run.decoder->adapter() ? run.decoder->adapter()->dropout : 0) {
  knobs_.add("dropout", {[this] { return dropout_; }, [this](const Json& v) { set_dropout(v); }});
  knobs_.add("domain_weights", {[this] { return by_name(run_.data.domains, run_.step.weights()); },
                                [this](const Json& v) {
                                  run_.step.set_weights(replaced(
                                      run_.step.weights(), run_.data.domains, v, "domain_weights"));
                                  draw_weighted_domains();
                                }});
  knobs_.add("mix_weights",
             {[this] { return by_name(set_names(run_.data), run_.loader.weights()); },
              [this](const Json& v) {
                run_.loader.set_weights(
                    replaced(run_.loader.weights(), set_names(run_.data), v, "mix_weights"));
              }});
  knobs_.add("frozen_layers",
             {[this] { return frozen(); }, [this](const Json& v) { set_frozen(v); }});
  knobs_.add("augmentation_rate",
             {[this] { return run_.loader.augmentation_rate(); },
              [this](const Json& v) { run_.loader.set_augmentation_rate(v.get<double>()); }});
  knobs_.add("neftune_alpha",
             {[this] { return run_.decoder->embed_tokens->noise(); },
              [this](const Json& v) { run_.decoder->embed_tokens->set_noise(v.get<double>()); }});
  knobs_.add("checkpoint_every",
             {[this] { return run_.decoder->checkpointing(); },
              [this](const Json& v) { run_.decoder->set_checkpointing(v.get<int64_t>()); }});
}

bool ModelKnobs::lora() const { return model::has_adapter(run_.decoder); }

void ModelKnobs::draw_weighted_domains() {
  std::vector<double> mix = run_.loader.weights();
  bool changed = false;
  for (size_t i = 0; i < mix.size(); ++i) {
    const data::DatasetOptions& set = run_.config.data.train[i];
    const auto domain = std::find(run_.data.domains.begin(), run_.data.domains.end(), set.domain);
    const bool left_out =
        mix[i] == 0 && set.weight > 0 && run_.config.weights.weight_of(set.domain) == 0;
    if (!left_out || run_.step.weights()[domain - run_.data.domains.begin()] <= 0) continue;
    mix[i] = set.weight;
    changed = true;
  }
  if (changed) run_.loader.set_weights(mix);
}

void ModelKnobs::set_dropout(const Json& value) {
  const auto dropout = value.get<double>();
  if (!(dropout >= 0 && dropout < 1)) throw Error("the knob dropout must be in [0, 1)");
  dropout_ = dropout;
  run_.decoder->set_dropout(dropout);
}

Json ModelKnobs::frozen() const {
  const std::vector<int64_t> present = model::layer_numbers(run_.decoder->config());
  Json layers = Json::array();
  for (const Json& layer : frozen_) {
    if (std::binary_search(present.begin(), present.end(), layer.get<int64_t>())) {
      layers.push_back(layer);
    }
  }
  return layers;
}

void ModelKnobs::set_frozen(const Json& value) {
  const std::vector<int64_t> present = model::layer_numbers(run_.decoder->config());
  std::set<int64_t> frozen;
  for (const Json& layer : value) {
    const auto number = layer.get<int64_t>();
    if (!std::binary_search(present.begin(), present.end(), number)) {
      throw Error(fmt::format("the knob frozen_layers names layer {}, the model has {}", number,
                              fmt::join(present, ", ")));
    }
    frozen.insert(number);
  }
  frozen_ = value;
  for (const auto& [name, parameter] : optimizer_.parameters()) {
    const auto layer = model::layer_of(name);
    parameter.set_requires_grad(!layer || !frozen.contains(*layer));
  }
}

Json ModelKnobs::state() const {
  Json values = {{lora() ? kDropout : kBranchDropout, dropout_}};
  for (const char* knob :
       {"domain_weights", "frozen_layers", "neftune_alpha", "checkpoint_every"}) {
    values[knob] = knobs_.get(knob);
  }
  return values;
}

void ModelKnobs::restore(const Json& state) const {
  for (const auto& [key, value] : state.items()) {
    // Checkpoints before 1 December 2026 have the attention's, which was the knob of full tuning.
    if (key == kDropout && !lora() && value == run_.decoder->config().attention_dropout) continue;
    const std::string knob = key == kBranchDropout ? kDropout : key;
    if (knobs_.get(knob) != value) knobs_.set(knob, value);
  }
}

}  // namespace hone::run

#include "hone/data/mixture.h"

#include <cmath>
#include <numeric>
#include <string>
#include <tuple>

#include "hone/core/error.h"
#include "hone/core/random.h"

namespace hone::data {

Mixture::Mixture(std::vector<std::vector<int64_t>> lengths, std::vector<double> weights,
                 double temperature, uint64_t seed, bool shuffle)
    : lengths_(std::move(lengths)),
      positions_(lengths_.size()),
      temperature_(temperature),
      seed_(seed),
      shuffle_(shuffle) {
  if (!(temperature > 0)) {
    throw Error("Mixture: temperature must be above 0, got " + std::to_string(temperature));
  }
  for (const auto& set : lengths_) {
    tokens_.push_back(static_cast<double>(std::accumulate(set.begin(), set.end(), int64_t{0})));
  }
  use_weights(std::move(weights));
  for (size_t set = 0; set < lengths_.size(); ++set) shuffle_epoch(static_cast<int64_t>(set));
}

void Mixture::use_weights(std::vector<double> weights) {
  if (weights.size() != lengths_.size()) {
    throw Error("Mixture: expected a weight for each of " + std::to_string(lengths_.size()) +
                " data sets, got " + std::to_string(weights.size()));
  }
  std::vector<double> shares;
  double total = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || weights[i] < 0) {
      throw Error("Mixture: weight of data set " + std::to_string(i) +
                  " must be finite and at least 0, got " + std::to_string(weights[i]));
    }
    if (weights[i] > 0 && !(tokens_[i] > 0)) {
      throw Error("Mixture: data set " + std::to_string(i) + " has a weight but no tokens");
    }
    shares.push_back(weights[i] > 0 ? weights[i] * std::pow(tokens_[i], 1 / temperature_) : 0);
    total += shares.back();
  }
  if (!(total > 0) || !std::isfinite(total)) {
    throw Error("Mixture: at least one data set must have a weight above 0");
  }
  for (double& share : shares) share /= total;
  weights_ = std::move(weights);
  shares_ = std::move(shares);
}

void Mixture::shuffle_epoch(int64_t set) {
  Position& position = positions_[set];
  position.order.resize(lengths_[set].size());
  std::iota(position.order.begin(), position.order.end(), int64_t{0});
  if (!shuffle_) return;
  const std::string stream =
      "mixture/" + std::to_string(set) + "/" + std::to_string(position.epoch);
  Random(derive_seed(seed_, stream)).shuffle(position.order);
}

Draw Mixture::draw() {
  int64_t chosen = -1;
  double least = 0;
  for (size_t i = 0; i < shares_.size(); ++i) {
    if (shares_[i] <= 0) continue;
    const double time = static_cast<double>(positions_[i].drawn) / shares_[i];
    if (chosen < 0 || time < least) {
      chosen = static_cast<int64_t>(i);
      least = time;
    }
  }
  Position& position = positions_[chosen];
  Draw draw{chosen, 0};
  if (!position.returned.empty()) {
    std::tie(draw.document, draw.epoch) = position.returned.front();
    draw.again = true;
    position.returned.pop_front();
  } else {
    if (position.next == static_cast<int64_t>(position.order.size())) {
      ++position.epoch;
      position.next = 0;
      shuffle_epoch(chosen);
    }
    draw.document = position.order[position.next++];
    draw.epoch = position.epoch;
  }
  position.drawn += length(draw);
  return draw;
}

void Mixture::put_back(const std::vector<Draw>& draws) {
  for (auto draw = draws.rbegin(); draw != draws.rend(); ++draw) {
    Position& position = positions_[draw->set];
    position.returned.emplace_front(draw->document, draw->epoch);
    position.drawn -= length(*draw);
  }
}

void Mixture::set_weights(std::vector<double> weights) {
  use_weights(std::move(weights));
  for (Position& position : positions_) position.drawn = 0;
}

Json Mixture::state() const {
  Json sets = Json::array();
  for (const Position& position : positions_) {
    sets.push_back({{"epoch", position.epoch},
                    {"next", position.next},
                    {"drawn", position.drawn},
                    {"returned", position.returned}});
  }
  return {{"weights", weights_}, {"sets", std::move(sets)}};
}

void Mixture::restore(const Json& state) {
  const Json& sets = state.at("sets");
  if (sets.size() != positions_.size()) {
    throw Error("Mixture: the saved state is of " + std::to_string(sets.size()) +
                " data sets, the run has " + std::to_string(positions_.size()));
  }
  std::vector<Position> positions(positions_.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    Position& position = positions[i];
    position.epoch = sets[i].at("epoch").get<int64_t>();
    position.next = sets[i].at("next").get<int64_t>();
    position.drawn = sets[i].at("drawn").get<int64_t>();
    position.returned = sets[i].at("returned").get<std::deque<std::pair<int64_t, int64_t>>>();
    const auto documents = static_cast<int64_t>(lengths_[i].size());
    bool fits = position.next >= 0 && position.next <= documents && position.drawn >= 0;
    for (const auto& [document, epoch] : position.returned) {
      fits = fits && document >= 0 && document < documents && epoch >= 0 && epoch <= position.epoch;
    }
    if (!fits) throw Error("Mixture: the saved state is not of data set " + std::to_string(i));
  }
  use_weights(state.at("weights").get<std::vector<double>>());
  positions_ = std::move(positions);
  for (size_t i = 0; i < positions_.size(); ++i) shuffle_epoch(static_cast<int64_t>(i));
}

}  // namespace hone::data

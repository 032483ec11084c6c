/// A configuration with a field of every kind, for the tests of the config room and its fuzzer.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/config/reader.h"

namespace hone::config::sample {

enum class Mode { kFast, kSafe };

}  // namespace hone::config::sample

template <>
struct hone::EnumNames<hone::config::sample::Mode> {
  static constexpr std::pair<hone::config::sample::Mode, const char*> values[] = {
      {hone::config::sample::Mode::kFast, "fast"}, {hone::config::sample::Mode::kSafe, "safe"}};
};

namespace hone::config::sample {

struct Adapter {
  int64_t rank = 8;
  std::vector<std::string> targets = {"q_proj"};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rank", self.rank, "Rank.", Range{1, 512});
    v("targets", self.targets, "Modules.");
  }
  void validate(Validation& v) const {
    if (targets.empty()) v.problem("targets", "must name a module");
  }
  bool operator==(const Adapter&) const = default;
};

struct Source {
  std::string file;
  double weight = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("file", self.file, "File.", Required{});
    v("weight", self.weight, "Share.", Range{0, 10});
  }
  bool operator==(const Source&) const = default;
};

struct Holder {
  Source source;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("source", self.source, "Source.");
  }
};

struct Sample {
  std::string about;
  bool verbose = false;
  int64_t steps = 100;
  int64_t seed = 0;
  double lr = 1e-4;
  double bias = 0;
  Mode mode = Mode::kSafe;
  std::optional<Mode> fallback;
  std::optional<int64_t> limit;
  std::optional<int64_t> depth = 3;
  Adapter adapter;
  std::optional<Adapter> second;
  std::vector<double> rates = {0.5};
  std::vector<Source> sources;
  std::vector<std::vector<int64_t>> grid;
  std::map<std::string, double> weights;
  std::map<std::string, Source> named;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("about", self.about, "What it shows.", Required{});
    v("verbose", self.verbose, "Says more.");
    v("steps", self.steps, "Steps.", Range{0, 1000});
    v("seed", self.seed, "Seed.");
    v("lr", self.lr, "Learning | rate.", Range{0, 10});
    v("bias", self.bias, "Bias.");
    v("mode", self.mode, "Mode.");
    v("fallback", self.fallback, "Second mode.");
    v("limit", self.limit, "Limit; only in mode fast.", Range{1, 50});
    v("depth", self.depth, "Depth.");
    v("adapter", self.adapter, "Adapter.");
    v("second", self.second, "Second adapter.");
    v("rates", self.rates, "Rates.", Range{0, 1});
    v("sources", self.sources, "Sources.");
    v("grid", self.grid, "Grid.", Range{-5, 5});
    v("weights", self.weights, "Weights.", Range{0, 100});
    v("named", self.named, "Named sources.");
  }

  void validate(Validation& v) const {
    if (mode == Mode::kSafe) v.no_effect("limit", "in mode safe");
    if (steps == 0) v.no_effect("adapter", "with steps 0");
    for (const auto& [name, weight] : weights) {
      if (weight == 0) v.no_effect("weights/" + pointer_step(name), "with weight 0");
    }
    if (lr == 0 && steps > 0) v.problem("lr", "must be above 0 to learn");
    if (sources.size() == 1 && weights.size() > 1) v.problem("weights", "are more than sources");
  }
  bool operator==(const Sample&) const = default;
};

}  // namespace hone::config::sample

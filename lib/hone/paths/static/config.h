/// The recipe of static tuning, as hone-static reads it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/eval/objective.h"
#include "hone/paths/static/presets.h"
#include "hone/run/config.h"
#include "hone/tune/pruners/pruners.h"
#include "hone/tune/samplers/samplers.h"
#include "hone/tune/space.h"
#include "hone/tune/storage/storage.h"

namespace hone::paths {

/// How much a search may spend.
struct BudgetOptions {
  int64_t trials = 20;
  double hours = 0;
  int64_t workers = 1;
  double memory_share = 0.9;
  double trial_hours = 0;
  int64_t max_parameters = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("trials", self.trials, "Trials that run; refused points do not count.", Range{1, 1e6});
    v("hours", self.hours, "No trial begins after this time; 0 sets no bound.", Range{0, 1e5});
    v("workers", self.workers, "Trials that run at once on this machine; they share its cores.",
      Range{1, 256});
    v("memory_share", self.memory_share,
      "Share of the machine's memory that all workers together may be predicted to need.",
      Range{0.01, 1});
    v("trial_hours", self.trial_hours,
      "Points predicted to train longer are refused; 0 sets no bound.", Range{0, 1e5});
    v("max_parameters", self.max_parameters,
      "Points with a larger model are refused; 0 sets no bound.", Range{0, 1e13});
  }
};

/// Where the study lives and how its workers watch each other.
struct StudyOptions {
  std::optional<std::string> storage;
  std::string name = "hone-static";
  double heartbeat_seconds = 10;
  double grace_seconds = 60;
  int64_t max_retries = 3;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("storage", self.storage,
      "postgresql://user@host/database or sqlite:///file; absent: study.db in --out. Runs that "
      "name "
      "one PostgreSQL study share it, from any number of machines.");
    v("name", self.name, "The study's name in its storage.");
    v("heartbeat_seconds", self.heartbeat_seconds, "Time between signs of life of a trial.",
      Range{0.05, 3600});
    v("grace_seconds", self.grace_seconds,
      "Silence after which other workers take a trial for dead and enqueue it again.",
      Range{0.1, 86400});
    v("max_retries", self.max_retries, "Times that one point is tried again.", Range{0, 1000});
  }
  void validate(Validation& v) const;
};

/// Runs after the search that show what it gained.
struct FinalOptions {
  int64_t seeds = 0;
  std::vector<data::DatasetOptions> held_out;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("seeds", self.seeds,
      "Runs of the best trial and of the base recipe as it stands, each with a seed of its own; 0 "
      "for none.",
      Range{0, 1000});
    v("held_out", self.held_out,
      "Data sets that those runs are scored on instead of the search's, which the search has "
      "fitted.");
  }
  void validate(Validation& v) const;
};

struct StaticConfig {
  std::string about;
  run::Config base;
  tune::SpaceOptions space;
  std::vector<Preset> presets;
  std::vector<eval::ObjectiveOptions> objectives{eval::ObjectiveOptions{}};
  tune::SamplerOptions sampler;
  tune::PrunerOptions pruner;
  BudgetOptions budget;
  StudyOptions study;
  FinalOptions final;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("about", self.about, "What the search shows and the command that runs it.");
    v("base", self.base, "The recipe of one trial, as hone-domain reads it.");
    v("space", self.space, "What is searched: keys of the base, as JSON pointers.");
    v("presets", self.presets,
      "Parameters added to the space with ranges from model and machine: learning_rate, adapter, "
      "batch (docs/static-tuning.md).");
    v("objectives", self.objectives,
      "What is optimised; several make a Pareto front. The first guides the pruner.");
    v("sampler", self.sampler, "What chooses the points.");
    v("pruner", self.pruner, "What stops trials early.");
    v("budget", self.budget, "What the search may spend.");
    v("study", self.study, "Where results are kept.");
    v("final", self.final, "Runs after the search.");
  }
  void validate(Validation& v) const;
};

/// Throws: ConfigError naming every file of the recipe that is not there.
void check_files(const StaticConfig& config);

/// Whether a pruner learns anything of a trial before its end.
bool sees_trials(const StaticConfig& config);

/// How trials of dead workers are treated.
tune::RetryOptions retry_options(const StudyOptions& study);

/// The study's directions.
std::vector<tune::Direction> directions(const StaticConfig& config);

/// The sampler that the search takes, and why.
tune::SamplerChoice sampler_choice(const StaticConfig& config, const tune::Space& space);

}  // namespace hone::paths

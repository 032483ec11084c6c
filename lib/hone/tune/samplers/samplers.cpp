#include "hone/tune/samplers/samplers.h"

#include <fmt/format.h>

#include <algorithm>

#include "hone/core/error.h"
#include "hone/tune/samplers/quasi_random_sampler.h"
#include "hone/tune/samplers/random_sampler.h"

namespace hone::tune {
namespace {

constexpr int64_t kFewTrials = 60;  // up to here a Gaussian process wins (reference/tuning.md 3.2)

bool any_numeric(const Space& space) {
  return std::any_of(space.names().begin(), space.names().end(), [&](const std::string& name) {
    return !std::holds_alternative<CategoricalDistribution>(space.distribution(name)) &&
           !single(space.distribution(name));
  });
}

}  // namespace

void SamplerOptions::validate(Validation& v) const {
  const auto only = [&](const char* key, SamplerKind owner) {
    if (kind != owner && kind != SamplerKind::kAuto) {
      v.no_effect(key, "with kind " + enum_name(kind));
    }
  };
  only("tpe", SamplerKind::kTpe);
  only("gp", SamplerKind::kGp);
  if (kind != SamplerKind::kCmaEs) v.no_effect("cma_es", "unless kind is cma_es");
}

SamplerChoice choose_sampler(const SamplerOptions& options, const Space& space,
                             const SearchShape& shape) {
  if (options.kind != SamplerKind::kAuto) return {options.kind, "as the recipe says"};
  const auto tpe = [](std::string reason) {
    return SamplerChoice{SamplerKind::kTpe, std::move(reason)};
  };
  if (shape.objectives > 1) return tpe("several objectives");
  if (space.conditional()) return tpe("conditional parameters, drawn in groups");
  if (!space.numeric()) return tpe("numeric and categorical parameters drawn jointly");
  if (shape.pruned) {
    return tpe("pruned trials teach it too, which a Gaussian process leaves out");
  }
  if (shape.trials > kFewTrials) {
    return tpe(fmt::format("more than {} trials", kFewTrials));
  }
  return {SamplerKind::kGp,
          fmt::format("numbers only and at most {} trials, none of them pruned", kFewTrials)};
}

void check_sampler(const SamplerOptions& options, const Space& space, size_t objectives) {
  const auto refuse = [&](const std::string& why) {
    throw ConfigError({{"/sampler/kind", enum_name(options.kind) + " " + why}});
  };
  if (options.kind == SamplerKind::kGrid) grid(space, "/space");
  if (options.kind != SamplerKind::kCmaEs) return;
  if (objectives > 1) refuse("takes one objective; take tpe");
  if (!any_numeric(space)) refuse("needs a parameter that is a range; take tpe");
}

std::unique_ptr<Sampler> make_sampler(const SamplerOptions& options, SamplerKind kind,
                                      const Space& space) {
  const auto seed = static_cast<uint64_t>(options.seed);
  switch (kind) {
    case SamplerKind::kRandom:
    case SamplerKind::kGrid:  // asked only for what an enqueued point lacks
      return make_random_sampler(seed);
    case SamplerKind::kSobol:
      return make_quasi_random_sampler(seed);
    case SamplerKind::kTpe: {
      TpeOptions tpe = options.tpe;
      if (options.kind == SamplerKind::kAuto) tpe.group = tpe.group || space.conditional();
      return make_tpe_sampler(tpe, seed);
    }
    case SamplerKind::kGp:
      return make_gp_sampler(options.gp, seed);
    case SamplerKind::kCmaEs:
      return make_cma_es_sampler(options.cma_es, seed);
    case SamplerKind::kAuto:
      break;
  }
  throw Error("make_sampler: choose a kind first");
}

}  // namespace hone::tune

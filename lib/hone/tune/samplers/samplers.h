/// The sampler that a recipe names, or the one that suits its search.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/tune/samplers/cma_es_sampler.h"
#include "hone/tune/samplers/gp_sampler.h"
#include "hone/tune/samplers/sampler.h"
#include "hone/tune/samplers/tpe_sampler.h"
#include "hone/tune/space.h"

namespace hone::tune {

enum class SamplerKind { kAuto, kGrid, kRandom, kSobol, kTpe, kGp, kCmaEs };

struct SamplerOptions {
  SamplerKind kind = SamplerKind::kAuto;
  int64_t seed = 0;
  TpeOptions tpe;
  GpOptions gp;
  CmaEsOptions cma_es;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("kind", self.kind, "What chooses the points; auto follows space and budget.");
    v("seed", self.seed, "Of the search: same seed and history, same points.",
      Range{0, 4294967295});
    v("tpe", self.tpe, "Tree-structured Parzen estimators.");
    v("gp", self.gp, "Gaussian process.");
    v("cma_es", self.cma_es, "CMA-ES.");
  }
  void validate(Validation& v) const;
};

/// What the choice looks at beside the space.
struct SearchShape {
  int64_t trials = 0;
  size_t objectives = 1;
  bool pruned = false;
};

/// A kind other than auto, and why it was taken.
struct SamplerChoice {
  SamplerKind kind;
  std::string reason;
};

/// Source of auto's rule: docs/samplers.md; reference/tuning.md 3.2 and 6.
SamplerChoice choose_sampler(const SamplerOptions& options, const Space& space,
                             const SearchShape& shape);

/// Throws: ConfigError, paths below /sampler, for a kind that cannot search the space.
void check_sampler(const SamplerOptions& options, const Space& space, size_t objectives);

/// For grid, whose points are enqueued (Search::enqueue_points), one that fills gaps at random.
std::unique_ptr<Sampler> make_sampler(const SamplerOptions& options, SamplerKind kind,
                                      const Space& space);

}  // namespace hone::tune

template <>
struct hone::EnumNames<hone::tune::SamplerKind> {
  static constexpr std::pair<tune::SamplerKind, const char*> values[] = {
      {tune::SamplerKind::kAuto, "auto"},     {tune::SamplerKind::kGrid, "grid"},
      {tune::SamplerKind::kRandom, "random"}, {tune::SamplerKind::kSobol, "sobol"},
      {tune::SamplerKind::kTpe, "tpe"},       {tune::SamplerKind::kGp, "gp"},
      {tune::SamplerKind::kCmaEs, "cma_es"}};
};

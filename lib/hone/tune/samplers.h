/// The sampler that a recipe names, or the one that suits its space.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/tune/sampler.h"
#include "hone/tune/space.h"

namespace hone::tune {

enum class SamplerKind { kAuto, kRandom };

struct SamplerOptions {
  SamplerKind kind = SamplerKind::kAuto;
  int64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("kind", self.kind, "What chooses the points; auto follows space and budget.");
    v("seed", self.seed, "Of the search: same seed and history, same points.", Range{0, 9e15});
  }
};

/// A kind other than auto, and why it was taken.
struct SamplerChoice {
  SamplerKind kind;
  std::string reason;
};
SamplerChoice choose_sampler(const SamplerOptions& options, const Space& space, int64_t trials,
                             size_t objectives);

/// Throws: ConfigError, paths below /sampler, for a kind that cannot search the space.
void check_sampler(const SamplerOptions& options, const Space& space, size_t objectives);

/// How many trials there can be: the points of a grid, else no bound.
int64_t most_trials(SamplerKind kind, const Space& space);

std::unique_ptr<Sampler> make_sampler(const SamplerOptions& options, SamplerKind kind,
                                      const Space& space);

}  // namespace hone::tune

template <>
struct hone::EnumNames<hone::tune::SamplerKind> {
  static constexpr std::pair<tune::SamplerKind, const char*> values[] = {
      {tune::SamplerKind::kAuto, "auto"}, {tune::SamplerKind::kRandom, "random"}};
};

#include "hone/kernels/cached_attention.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/varlen_attention.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::relative_difference;

/// A cache of 4 rows of random keys and values, documents behind different pasts.
struct Setup {
  at::Tensor keys, values, q, k, v;
  Sequences segments;
  CachePlaces places;

  Setup(std::vector<int64_t> past, std::vector<int64_t> added, int64_t first_row, int64_t heads,
        int64_t key_heads, int64_t width, at::ScalarType dtype) {
    torch::manual_seed(1);
    constexpr int64_t kPositions = 50;
    const auto options = at::TensorOptions().dtype(dtype);
    keys = at::randn({4, kPositions, key_heads, width}, options);
    values = at::randn_like(keys);
    std::vector<int64_t> offsets = {0}, slots, lengths;
    for (size_t d = 0; d < past.size(); ++d) {
      offsets.push_back(offsets.back() + added[d]);
      lengths.push_back(past[d] + added[d]);
      for (int64_t i = 0; i < added[d]; ++i) {
        slots.push_back((first_row + static_cast<int64_t>(d)) * kPositions + past[d] + i);
      }
    }
    q = at::randn({offsets.back(), heads, width}, options);
    k = at::randn({offsets.back(), key_heads, width}, options);
    v = at::randn_like(k);
    segments = Sequences::from_offsets(offsets, at::kCPU);
    places = {first_row, past, torch::tensor(slots, at::kLong), torch::tensor(lengths, at::kLong)};
  }

  at::Tensor run() { return cached_attention(q, k, v, segments, places, keys, values, 0.3); }

  /// In float64, each document's past and new positions in one causal pass.
  at::Tensor plain() const {
    std::vector<at::Tensor> outputs;
    for (size_t d = 0; d < places.past.size(); ++d) {
      const int64_t past = places.past[d], begin = segments.offsets[d],
                    end = segments.offsets[d + 1];
      const auto joined = [&](const at::Tensor& cache, const at::Tensor& fresh) {
        const at::Tensor kept = cache[places.first_row + static_cast<int64_t>(d)].slice(0, 0, past);
        return at::cat({kept, fresh.slice(0, begin, end)}).to(at::kDouble);
      };
      const at::Tensor key = joined(keys, k), value = joined(values, v);
      const at::Tensor padded =
          at::cat({at::zeros({past, q.size(1), q.size(2)}), q.slice(0, begin, end)})
              .to(at::kDouble);
      outputs.push_back(varlen_attention(padded, key, value,
                                         Sequences::from_offsets({0, key.size(0)}, at::kCPU), 0.3)
                            .slice(0, past));
    }
    return at::cat(outputs);
  }
};

TEST_CASE("cached_attention equals one causal pass over past and new positions") {
  struct Case {
    std::vector<int64_t> past, added;
    int64_t first_row;
  };
  const std::vector<Case> cases = {
      {{40}, {1}, 0},       {{7, 0, 31}, {1, 1, 1}, 1}, {{3, 3, 3, 3}, {1, 1, 1, 1}, 0},
      {{12, 5}, {4, 1}, 1}, {{0, 9}, {6, 3}, 2},        {{0, 0}, {5, 2}, 0},
  };
  for (const Case& c : cases) {
    for (const auto& [heads, key_heads, width] :
         {std::tuple<int64_t, int64_t, int64_t>{4, 4, 16}, {6, 2, 20}, {3, 1, 48}}) {
      for (const auto& [dtype, tolerance] :
           {std::pair{at::kFloat, 2e-6}, {at::kDouble, 1e-13}, {at::kBFloat16, 0.02}}) {
        INFO("past " << c.past << " added " << c.added << " heads " << heads << " " << dtype);
        Setup setup(c.past, c.added, c.first_row, heads, key_heads, width, dtype);
        const at::Tensor wanted = setup.plain(), before = setup.keys.clone();
        CHECK(relative_difference(setup.run(), wanted) < tolerance);
        const at::Tensor changed = (before != setup.keys).flatten(2).any(2).flatten().nonzero();
        CHECK(changed.flatten().equal(std::get<0>(setup.places.slots.sort())));
      }
    }
  }
}

TEST_CASE("attend_cache: values may be the first numbers of the keys") {
  struct Case {
    std::vector<int64_t> past, added;
  };
  for (const Case& c : {Case{{7, 31}, {1, 1}}, Case{{12, 5}, {4, 1}}}) {
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 2e-6}, {at::kBFloat16, 0.02}}) {
      INFO("past " << c.past << " added " << c.added << " " << dtype);
      Setup setup(c.past, c.added, 1, 6, 1, 20, dtype);
      setup.values = setup.keys;
      setup.v = setup.k;
      const at::Tensor wanted = setup.plain().slice(2, 0, 12);
      write_cache(setup.keys, setup.k, setup.places);
      const at::Tensor got = attend_cache(setup.q, setup.keys, setup.keys.slice(3, 0, 12),
                                          setup.segments, setup.places, 0.3);
      CHECK(relative_difference(got, wanted) < tolerance);
      CHECK_THROWS_WITH(attend_cache(setup.q, setup.keys, setup.keys.slice(3, 0, 12).contiguous(),
                                     setup.segments, setup.places, 0.3),
                        Catch::Contains("values must be laid out as the keys are"));
    }
  }
}

TEST_CASE("cached_attention: wrong shapes are named") {
  const auto run = [](auto change) {
    Setup setup({4}, {1}, 0, 4, 2, 8, at::kFloat);
    change(setup);
    setup.run();
  };
  CHECK_THROWS_WITH(run([](Setup& s) { s.keys = s.keys.transpose(1, 2); }),
                    Catch::Contains("contiguous [R, S, K, E] of q's dtype Float"));
  CHECK_THROWS_WITH(run([](Setup& s) { s.k = s.k.slice(1, 0, 1); }),
                    Catch::Contains("with K and E of the cache [4, 50, 2, 8], got [1, 1, 8]"));
  CHECK_THROWS_WITH(run([](Setup& s) { s.q = s.q.slice(1, 0, 3); }),
                    Catch::Contains("with K dividing H; q is [1, 3, 8]"));
  CHECK_THROWS_WITH(run([](Setup& s) { s.places.past.push_back(1); }),
                    Catch::Contains("places and segments must be of the T = 1 positions"));
}

}  // namespace
}  // namespace hone::kernels

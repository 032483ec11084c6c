#include "hone/tune/samplers/detail/sobol.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <initializer_list>

#include "hone/core/error.h"
#include "hone/tune/samplers/detail/pcg64.h"

namespace hone::tune::detail {
namespace {

constexpr int kBits = Sobol::kBits;
constexpr double kScale = 1.0 / (uint64_t{1} << kBits);

struct Dimension {
  uint32_t polynomial;  ///< its coefficients as bits, both ends included
  std::array<uint16_t, 10> initial;
};

constexpr Dimension kDimensions[] = {
#include "hone/tune/samplers/detail/sobol_numbers.inc"
};
static_assert(std::size(kDimensions) + 1 == Sobol::kMostDimensions);

/// The direction numbers of dimension `d`, as fractions of 2^kBits.
std::array<uint32_t, kBits> directions(size_t d) {
  std::array<uint32_t, kBits> v;
  v.fill(1);  // the first dimension: van der Corput's sequence
  if (d > 0) {
    const auto& [polynomial, initial] = kDimensions[d - 1];
    const int degree = std::bit_width(polynomial) - 1;
    for (int j = 0; j < kBits; ++j) {
      v[j] = j < degree ? initial[j] : v[j - degree];
      for (int k = 0; j >= degree && k < degree; ++k) {
        if (polynomial >> (degree - 1 - k) & 1) v[j] ^= v[j - k - 1] << (k + 1);
      }
    }
  }
  for (int j = 0; j < kBits; ++j) v[j] <<= kBits - 1 - j;
  return v;
}

}  // namespace

Sobol::Sobol(size_t dimensions, std::optional<uint64_t> seed) : shift_(dimensions) {
  if (dimensions == 0 || dimensions > kMostDimensions) {
    throw Error(
        fmt::format("Sobol: dimensions must be 1 to {}, got {}", kMostDimensions, dimensions));
  }
  for (size_t d = 0; d < dimensions; ++d) {
    const auto v = hone::tune::detail::directions(d);
    directions_.insert(directions_.end(), v.begin(), v.end());
  }
  if (seed) scramble(*seed);
}

void Sobol::scramble(uint64_t seed) {
  Pcg64 random(seed);
  for (uint32_t& shift : shift_) {
    for (int k = 0; k < kBits; ++k) shift |= uint32_t{random.bit()} << k;
  }
  for (size_t d = 0; d < dimensions(); ++d) {
    std::array<uint32_t, kBits> rows;  // of the matrix, highest bit first
    for (int p = 0; p < kBits; ++p) {
      rows[p] = uint32_t{1} << (kBits - 1 - p);
      for (int k = 0; k < kBits; ++k) {
        const uint32_t bit = random.bit();
        if (k < p) rows[p] |= bit << (kBits - 1 - k);
      }
    }
    for (int j = 0; j < kBits; ++j) {
      uint32_t& direction = directions_[d * kBits + j];
      uint32_t mixed = 0;
      for (int p = 0; p < kBits; ++p) {
        mixed |= static_cast<uint32_t>(std::popcount(rows[p] & direction) & 1) << (kBits - 1 - p);
      }
      direction = mixed;
    }
  }
}

std::vector<double> Sobol::point(uint64_t index) const {
  if (index >> kBits != 0) throw Error(fmt::format("Sobol: index must be below 2^{}", kBits));
  const uint64_t gray = index ^ index >> 1;
  std::vector<double> result(dimensions());
  for (size_t d = 0; d < dimensions(); ++d) {
    uint32_t bits = shift_[d];
    for (uint64_t rest = gray; rest != 0; rest &= rest - 1) {
      bits ^= directions_[d * kBits + std::countr_zero(rest)];
    }
    result[d] = bits * kScale;
  }
  return result;
}

std::vector<double> Sobol::points(uint64_t n) const {
  std::vector<double> result;
  result.reserve(n * dimensions());
  for (uint64_t i = 0; i < n; ++i) {
    const auto one = point(i);
    result.insert(result.end(), one.begin(), one.end());
  }
  return result;
}

}  // namespace hone::tune::detail

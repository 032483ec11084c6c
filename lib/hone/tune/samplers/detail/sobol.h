/// Sobol's sequence: points that fill the unit cube more evenly than random ones.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace hone::tune::detail {

/// The sequence of SciPy's qmc.Sobol(dimensions, scramble=..., seed=seed), by index, of 30 bits.
/// With a seed it is scrambled: a random lower triangular bit matrix for each dimension
/// (Matousek 1998), then a random digital shift; each point is then uniform by itself.
/// Parity: tests/interop/tune_samplers.py. Source: Joe and Kuo 2008 for the direction numbers.
class Sobol {
 public:
  static constexpr int kBits = 30;
  static constexpr size_t kMostDimensions = 128;

  /// Throws: Error for 0 dimensions or more than kMostDimensions.
  explicit Sobol(size_t dimensions, std::optional<uint64_t> seed = std::nullopt);

  size_t dimensions() const { return shift_.size(); }
  /// Point `index`, each coordinate in [0, 1). Throws: Error unless index < 2^30.
  std::vector<double> point(uint64_t index) const;
  /// Points 0 to n - 1, one after the other: [n, dimensions].
  std::vector<double> points(uint64_t n) const;

 private:
  void scramble(uint64_t seed);

  std::vector<uint32_t> directions_;  // [dimensions, kBits]
  std::vector<uint32_t> shift_;       // [dimensions]
};

}  // namespace hone::tune::detail

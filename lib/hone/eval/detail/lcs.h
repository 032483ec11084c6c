/// Longest common subsequences, 64 columns of the table at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hone::eval::detail {

/// Length of the longest common subsequence. Time |a|*|b|/64, memory |b|.
size_t lcs_length(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);

/// Which places of `a` belong to a longest common subsequence with `b`, ascending. Of several it is
/// the one that is found walking back from the table's end, going up unless left is longer.
/// Memory |a|*|b|/8 bytes. Throws: Error if that is over 1 GiB.
std::vector<size_t> lcs_places(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);

}  // namespace hone::eval::detail

/// The edits that TER counts.
#pragma once
#include <cstdint>
#include <vector>

namespace hone::eval::detail {

/// Edits that make the hypothesis the reference, as Tercom's greedy search finds them: as long as
/// it lowers the edit distance, the stretch of words is moved that lowers it most. 0 words of
/// reference cost the hypothesis's words. Throws: Error if the table of distances would need over 1
/// GiB.
int64_t ter_edits(const std::vector<uint32_t>& hypothesis, const std::vector<uint32_t>& reference);

}  // namespace hone::eval::detail

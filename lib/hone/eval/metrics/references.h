/// What text metrics score.
#pragma once
#include <string>
#include <vector>

namespace hone::eval {

/// What was generated, a text a segment. Bytes that are not UTF-8 count as U+FFFD.
using Hypotheses = std::vector<std::string>;

/// references[i] holds the right texts of hypothesis i: at least one, and not the same number
/// everywhere. (sacrebleu has them the other way round: a list of streams, None where one lacks.)
using References = std::vector<std::vector<std::string>>;

namespace detail {

/// Throws: Error unless there is a hypothesis, and for each a list of at least one reference.
void check_segments(const std::string& metric, const Hypotheses& hypotheses,
                    const References& references);

/// References a segment as sacrebleu's signatures have it: "1", or "var" where it varies.
std::string reference_count(const References& references);

}  // namespace detail
}  // namespace hone::eval

/// Growing the tokenizer of a run by the terms of its domains.
#pragma once
#include <optional>
#include <string>

#include "hone/run/config.h"
#include "hone/text/growth.h"

namespace hone::run {

/// The tokenizer grown within vocabulary.new_tokens ids and vocabulary.new_terms terms: by the
/// terms of the file, in its order, or by those mined from the training text of the chosen domains,
/// most useful first. Terms that are one token already add nothing; those beyond the limits are
/// left out; the log says how many came in, and the ids that they took.
///
/// With a run folder the terms are kept there (vocabulary.json), and a run gone on with takes them
/// from there, so that its ids stay what they were; of one begun before 2026-12, from the tokenizer
/// that it saved. Throws: IoError, Error.
text::GrowthResult grow_vocabulary(const Config& config, const text::Tokenizer& tokenizer,
                                   const std::optional<std::string>& run_folder);

/// "156 terms became tokens: 400 new ids, 244 of them of intermediate merges".
std::string describe(const text::GrowthResult& growth);

}  // namespace hone::run

/// Growing the tokenizer of a run by the terms of its domains.
#pragma once
#include "hone/paths/domain_config.h"
#include "hone/text/growth.h"

namespace hone::paths {

/// The tokenizer grown by at most vocabulary.new_tokens entries: the terms of the file, in its
/// order, or those mined from the training text of the chosen domains, most useful first.
/// Terms that are one token already add nothing; those beyond the limit are left out, with a line
/// in the log. Throws: IoError, Error.
text::GrowthResult grow_vocabulary(const DomainConfig& config, const text::Tokenizer& tokenizer);

}  // namespace hone::paths

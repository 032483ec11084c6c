/// Growing the embedding and the head with the vocabulary, or cutting them down to a part of it.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "hone/model/decoder.h"

namespace hone::model {

/// A new row's id and the ids of the pieces that its text was before.
using NewRows = std::vector<std::pair<int64_t, std::vector<int64_t>>>;

/// Gives embedding and untied head `rows` rows. Each id of `new_rows`, which may be a padding row
/// that existed already, becomes the mean of its pieces' rows in both; other added rows become the
/// mean of all old rows. Computed in float32. Where a table has each id's experts (nn/router.h), an
/// added id takes those of its first piece, or of any. config().vocab_size becomes `rows`.
/// Parameters are replaced: make optimisers afterwards.
/// Throws: hone::Error if rows would shrink, an id is outside, pieces are empty or not of the old
///   rows, or the decoder carries adapters.
void resize_vocabulary(Decoder& decoder, int64_t rows, const NewRows& new_rows);

/// Leaves embedding and untied head these rows alone, in this order (text/trim_vocabulary.h).
/// config().vocab_size becomes their number. Parameters are replaced: make optimisers afterwards.
/// Throws: hone::Error for a row that is not there, none at all, a decoder that carries adapters,
/// or
///   experts that are chosen by id.
void keep_vocabulary(Decoder& decoder, const std::vector<int64_t>& kept);

}  // namespace hone::model

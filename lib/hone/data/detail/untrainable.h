/// Rows that hold more than text to imitate.
#pragma once
#include "hone/core/json.h"
#include "hone/data/options.h"

namespace hone::data::detail {

/// Refuses rows of chosen and rejected answers, where the format is auto or one of answers.
/// Throws: Error that names the key and what to do.
void check_no_preference(const Json& row, Format format);

/// Refuses rows that would be trained as something they are not: answers that a KTO row rejects,
/// and texts whose images, videos or audio would be left away. `format` is the row's, not auto.
/// Throws: Error that names the key and what to do.
void check_trainable(const Json& row, Format format);

/// Throws: Error if a part of a message's content is no text but an image, a video or audio.
void check_part(const Json& part);

}  // namespace hone::data::detail

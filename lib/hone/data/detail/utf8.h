/// UTF-8 under the room's own name.
#pragma once
#include "hone/core/utf8.h"

namespace hone::data::detail {

using hone::append_utf8;
using hone::Character;
using hone::character_at;
using hone::find_invalid_utf8;

}  // namespace hone::data::detail

/// What people read of a controller's decisions.
#pragma once
#include <cstddef>
#include <string>

#include "hone/core/json.h"

namespace hone::view {

/// A knob's value in words, at most about `most` bytes of them, cut between characters:
///   masks, {"0": [1, 0], "1": [1, 1]} for the knob heads    "3 of 4 heads"
///   {"law": 0.5, "general": 1}                              "law 0.5, general 1"
///   [0, 1]; []                                              "0, 1"; "none"
///   null, for knobs that hold nothing                       ""
/// Numbers are rounded as format_number() does, what is none of these stays JSON.
std::string knob_text(const std::string& knob, const Json& value, size_t most = 160);

/// The new value of a knob that was `before`: as knob_text(), and of masks that are on in equal
/// numbers how many changed places, "12 of 16 heads, 1 exchanged".
std::string changed_knob_text(const std::string& knob, const Json& before, const Json& after,
                              size_t most = 160);

/// Whether a decision about the knob is the run's own affair: copies that it keeps to go back to,
/// every so many steps. They stand in decisions.jsonl, for replays, but in no list for people.
bool is_bookkeeping(const std::string& knob);

}  // namespace hone::view

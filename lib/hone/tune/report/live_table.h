/// The state of a search in a few lines of text, for a terminal.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/tune/trial.h"

namespace hone::tune {

struct LiveTableOptions {
  size_t width = 80;                    ///< columns of the terminal
  std::optional<int64_t> trials;        ///< that the search is to run in all, if that is known
  int64_t workers = 1;                  ///< that run trials side by side
  size_t max_running = 8;               ///< lines of running trials; more are counted
  std::vector<std::string> objectives;  ///< names for people; else "value"
};

/// What is done, the time left (from the mean duration of ended trials, over the workers), the best
/// trial with its parameters (of several objectives, the size of the front and its best by the
/// first one), and the running trials with the last value each reported. Lines end with "\n" and
/// have at most `width` characters, the best trial as many lines as its parameters need; control
/// characters from names are shown as "?".
std::string live_table(const StudyView& study, Time now, const LiveTableOptions& options = {});

}  // namespace hone::tune

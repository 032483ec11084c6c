/// A program of the user's that answers a text with a text.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace hone::data::detail {

/// Runs `command` (a program, looked up in PATH, and its arguments; no shell sees them), writes
/// {"text": "..."} a line a text to its standard input and closes it, and reads one such line for
/// each from its standard output, in order; take(i, answer) is called as they come. Its standard
/// error is shown in messages only.
/// Throws: Error naming the command, and the line of its output, if it cannot be started, writes
///   anything but such lines, fewer or more of them, or one over 64 KiB + 16 times its text; if the
///   next answer or its end takes longer than `timeout_seconds` (it is killed then); or if it ends
///   with another status than 0.
void run_text_command(const std::vector<std::string>& command,
                      const std::vector<std::string>& texts, double timeout_seconds,
                      const std::function<void(size_t index, std::string answer)>& take);

}  // namespace hone::data::detail

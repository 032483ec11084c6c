/// Rows that a model is asked about and judged by: questions with reference answers, and multiple
/// choice.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::data {

/// A row that a model answers with text.
struct GenerationRow {
  std::string prompt;  ///< text to continue; "" where `messages` is not null
  Json messages;       ///< or the conversation to answer: its last message is a user's or a tool's
  Json tools;          ///< the conversation's tools: a list or null
  std::vector<std::string> references;  ///< right answers, at least one, none empty
  int64_t line = 0;                     ///< where it lies in its file
};

/// A row whose answer is one of its choices.
struct ChoiceRow {
  std::string prompt;
  std::vector<std::string> choices;  ///< 2 to 26, none empty, all different
  size_t answer = 0;                 ///< index of the right one
  int64_t line = 0;
};

/// What a file may hold; more is an error, not a cut.
struct EvaluationLimits {
  size_t max_rows = 1'000'000;
  size_t max_bytes = size_t{1} << 30;  ///< of the file
};

/// Reads a .jsonl file (or a .json array) of rows
///   {"prompt": string, ...} or {"messages": [{"role", "content"}], "tools"?: [...], ...}
/// with the answer in "references": [string, ...], "reference": string or "completion": string.
/// "prompt" may be a list of messages too, as TRL writes it. A conversation that ends with an
/// assistant's message and has none of the three keys is judged by that message, so held-out
/// training rows serve as they are. Other keys are left alone. Blank lines are no rows.
///
/// Throws: DataError(file, line, reason) for the first bad row; IoError for a file that cannot be
///   read, holds no row, or is over `limits`.
std::vector<GenerationRow> read_generation_rows(const std::string& path,
                                                const EvaluationLimits& limits = {});

/// Reads rows {"prompt" or "question": string, "choices": [string, ...], "answer": index from 0, or
/// letter from A}. Otherwise as read_generation_rows.
std::vector<ChoiceRow> read_choice_rows(const std::string& path,
                                        const EvaluationLimits& limits = {});

}  // namespace hone::data

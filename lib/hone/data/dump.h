/// What is trained, made visible: each token with its label and weight.
#pragma once
#include <cstdint>
#include <ostream>
#include <vector>

#include "hone/data/batch.h"
#include "hone/text/tokenizer.h"

namespace hone::data {

struct DumpOptions {
  int64_t documents = 8;  ///< at most so many; 0 = all
  bool color = false;     ///< ANSI colours: trained green, weighted yellow, masked grey
};

/// Human-readable: a head line a document, its text with the trained stretches marked, then one
/// line a token: position, id, piece, label (the token itself where it is a target, else -100),
/// weight.
void dump_text(std::ostream& out, const std::vector<Example>& examples,
               const text::Tokenizer& tokenizer, const DumpOptions& options = {});

/// JSONL for other programs, one document a line: {"ids", "pieces", "labels", "weights",
/// "positions", "domain"}. Labels are in the unshifted Hugging Face form: labels[i] is ids[i]
/// where token i is trained, else -100; weights[i] belongs to labels[i], 0 where that is -100.
void dump_jsonl(std::ostream& out, const std::vector<Example>& examples,
                const text::Tokenizer& tokenizer, const DumpOptions& options = {.documents = 0});

}  // namespace hone::data

/// The tokenizer of a run: the base's, an existing one, or one trained on the run's text.
#pragma once
#include <string>

#include "hone/run/config.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::run {

/// A tokenizer and the folder whose other files (templates, special tokens) belong to it.
struct RunTokenizer {
  text::TokenizerFolder text;
  std::string source_folder;  ///< "" for a new one
  std::string key;            ///< all that it was made from, for Cache
  bool grown = false;         ///< whether tokenizer.json differs from the source folder's
};

/// The model's tokenizer; else the one in tokenizer.folder; else one trained on the text of all
/// training sets, with DeepSeek's names for begin, end and padding.
/// Throws: IoError, DataError, Error for data.chat_template_kwargs that the template does not read.
RunTokenizer make_tokenizer(const Config& config);

/// Writes the tokenizer and the source folder's companion files (templates, generation settings)
/// as the folder `path`, atomically. A grown tokenizer leaves out vocab.json, merges.txt and
/// tokenizer.model, which would contradict it.
void write_tokenizer(const RunTokenizer& tokenizer, const std::string& path);

}  // namespace hone::run

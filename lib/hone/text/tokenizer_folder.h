/// The text side of a checkpoint folder.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hone/text/tokenizer.h"

namespace hone::text {

/// tokenizer.json with what tokenizer_config.json, special_tokens_map.json and chat_template.jinja
/// say of it; only tokenizer.json must exist.
///
/// Classes that derive from LlamaTokenizer rewrite their post-processor from add_bos_token and
/// add_eos_token when transformers 4 loads them, although tokenizer.json holds no template; so does
/// load(): encode(text, true) then gives the ids that transformers 4 gives. For other classes
/// tokenizer.json stands as it is. transformers 5 reads neither flag beside a tokenizer.json
/// (tests/interop/text_bos.py).
struct TokenizerFolder {
  Tokenizer tokenizer;
  std::optional<int64_t> bos_id, eos_id,
      pad_id;                                   ///< unset: no such token, or not in the vocabulary
  std::string bos_token, eos_token, pad_token;  ///< "" if there is none
  bool add_bos = false;                         ///< whether encode(text, true) starts with bos
  bool add_eos = false;                         ///< whether encode(text, true) ends with eos
  std::optional<std::string> chat_template;     ///< Jinja source
  std::string chat_template_source;             ///< the file it came from
  bool rewritten = false;  ///< encode(text, true) adds other tokens than tokenizer.json says

  /// Throws: IoError.
  static TokenizerFolder load(const std::string& folder);
};

}  // namespace hone::text

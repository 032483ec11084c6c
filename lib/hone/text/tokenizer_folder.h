/// The text side of a checkpoint folder.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hone/core/json.h"
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
  /// Jinja source; that of text/encodings.h where the folder has none and config.json names a model
  /// whose makers give a program instead.
  std::optional<std::string> chat_template;
  std::string chat_template_source;            ///< the file it came from, or what stands for it
  Json chat_template_kwargs = Json::object();  ///< further variables of the template
  bool rewritten = false;  ///< encode(text, true) adds other tokens than tokenizer.json says

  /// Throws: IoError.
  static TokenizerFolder load(const std::string& folder);

  /// Sets chat_template_kwargs.
  /// Throws: Error for what is no object, without a template, or for a name that it does not read.
  void set_chat_template_kwargs(const Json& kwargs);
  /// What the template sees beside the conversation (ChatInput::variables): bos_token and eos_token
  /// where there are such, and chat_template_kwargs.
  Json chat_variables() const;
};

}  // namespace hone::text

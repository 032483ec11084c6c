/// A model that answers: its template, its tokens and when it stops.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/chat_template.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::infer {

/// How conversations become the ids that a model goes on with. Through the folder's own chat
/// template, as in training; without one a conversation is its last text, to be completed.
class Speaker {
 public:
  /// `stop_ids` are the checkpoint's own (infer::eos_ids); the tokenizer's eos and the token by
  /// which the template ends a turn join them. Throws: Error for a template that cannot be read.
  Speaker(text::TokenizerFolder text, std::vector<int64_t> stop_ids);

  bool has_template() const { return chat_.has_value(); }
  const text::TokenizerFolder& text() const { return text_; }
  const std::vector<int64_t>& stop_ids() const { return stop_ids_; }

  /// `messages` as OpenAI has them, the last one to be answered.
  /// Throws: Error for what the template refuses, for text that is not UTF-8, or, without a
  ///   template, for a system message.
  std::vector<int64_t> ids(const Json& messages) const;

 private:
  std::vector<int64_t> completion_ids(const std::string& text) const;
  /// The token by which the template ends an assistant's turn, if it is one token of its own.
  std::optional<int64_t> end_of_turn() const;

  text::TokenizerFolder text_;
  std::vector<int64_t> stop_ids_;
  std::optional<text::ChatTemplate> chat_;
};

/// [{"role": "system"}?, {"role": "user", "content": prompt}].
Json one_turn(const std::string& prompt, const std::optional<std::string>& system);

}  // namespace hone::infer

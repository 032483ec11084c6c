/// Samples become tokenised documents with targets and weights.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/data/dataset.h"
#include "hone/data/detail/cut_text.h"
#include "hone/data/detail/document.h"
#include "hone/data/detail/sample.h"
#include "hone/text/chat_template.h"
#include "hone/text/chat_tools.h"

namespace hone::data::detail {

/// What is wrong with the data set as a whole, not with a row: no policy on bad rows skips it.
class SetupError : public Error {
 public:
  using Error::Error;
};

/// What one row became.
struct EncodedRow {
  std::vector<Example> examples;
  std::vector<std::shared_ptr<const CutText>> cuts;  ///< with LoadContext::keep_cuts
  DatasetCounts counts;                              ///< of this row, from `untrained` on
};

/// Tokenises and masks. May be called from several threads at once.
class Encoder {
 public:
  /// `text` must outlive it. Throws: SetupError.
  Encoder(const DatasetOptions& options, const text::TokenizerFolder& text,
          const LoadContext& context);

  /// Throws: Error for a row that cannot be encoded; SetupError.
  EncodedRow encode(const Sample& sample) const;

 private:
  std::vector<Document> documents(const Sample& sample) const;
  std::vector<Document> chat_documents(const ChatSample& chat) const;
  std::vector<Document> rendered_documents(const ChatSample& chat) const;
  std::vector<Document> training_documents(const ChatSample& chat,
                                           const text::ChatInput& input) const;
  Document whole_document(const ChatSample& chat, const text::ChatInput& input) const;
  Document template_document(const ChatSample& chat, const text::ChatInput& input,
                             text::ChatTurns turns) const;

  Tokens tokenise(const Document& document) const;
  void check_prompt(const Document& document, const std::vector<int64_t>& ids) const;
  Tokens take_tokens(const TokenSample& sample) const;
  /// `document` is null where tokens came without a text.
  void cut_to_length(const Tokens& tokens, const Document* document, EncodedRow& row) const;
  void keep(const Tokens& tokens, size_t begin, size_t end, const Document* document,
            EncodedRow& row) const;
  /// Keeps the text of what tokens [0, end) became, `examples`, in parts of `part` tokens or whole.
  void keep_cut(const Tokens& tokens, size_t end, size_t part, const Document* document,
                std::vector<Example> examples, EncodedRow& row) const;

  /// What of a conversation's tools the template leaves out.
  text::ToolParts lost_tools(const ChatSample& chat) const;
  /// Whether a row is encoded although the template leaves out tools; counts those that are not.
  bool keeps_tools(const ChatSample& chat, DatasetCounts& counts) const;

  /// The folder's template, compiled at its first use. Throws: SetupError if there is none.
  const text::ChatTemplate& chat() const;
  bool use_training_form() const;

  const DatasetOptions options_;
  const text::TokenizerFolder& text_;
  const LoadContext context_;
  size_t max_length_ = 0;  ///< 0 = no bound
  Json variables_;
  mutable std::once_flag chat_once_, form_once_, tools_once_;
  mutable std::optional<text::ChatTemplate> chat_;
  mutable bool discards_ = false;
  mutable text::ToolParts shown_;
};

}  // namespace hone::data::detail

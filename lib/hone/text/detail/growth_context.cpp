#include "hone/text/detail/growth_context.h"

#include <algorithm>

namespace hone::text::detail {

TermTokens TermContext::look(std::string_view term) const {
  const std::string text = "\n" + std::string(term);
  TermTokens found{tokenizer_.encode_ids(text, false)};
  const auto [end, rest] =
      std::mismatch(before_.begin(), before_.end(), found.ids.begin(), found.ids.end());
  if (end != before_.end() || rest == found.ids.end()) {
    return {tokenizer_.encode_ids(term, false)};
  }
  found.ids.erase(found.ids.begin(), rest);
  const std::vector<Offset> pieces = tokenizer_.pieces(text);
  // The last piece is the term's; it must reach back to the term's first byte.
  found.one_piece = !pieces.empty() && pieces.back().begin <= 1;
  found.whole_piece = !pieces.empty() && pieces.back().begin == 1;
  return found;
}

std::string TermContext::decode(int64_t id) const {
  const std::string before = tokenizer_.decode(before_, false);
  std::vector<int64_t> ids = before_;
  ids.push_back(id);
  const std::string both = tokenizer_.decode(ids, false);
  return both.starts_with(before) ? both.substr(before.size()) : tokenizer_.decode({id}, false);
}

}  // namespace hone::text::detail

#include "hone/text/detail/growth_context.h"

#include <algorithm>

namespace hone::text::detail {

bool TermContext::stands_apart(const std::vector<int64_t>& ids) const {
  return ids.size() > before_.size() && std::equal(before_.begin(), before_.end(), ids.begin());
}

TermTokens TermContext::look(std::string_view term) const {
  const std::string text = "\n" + std::string(term);
  TermTokens found{tokenizer_.encode_ids(text, false)};
  if (!stands_apart(found.ids)) return {tokenizer_.encode_ids(term, false)};
  found.ids.erase(found.ids.begin(), found.ids.begin() + std::ssize(before_));
  const std::vector<Offset> pieces = tokenizer_.pieces(text);
  // The last piece is the term's; it must reach back to the term's first byte.
  found.one_piece = !pieces.empty() && pieces.back().begin <= 1;
  found.whole_piece = !pieces.empty() && pieces.back().begin == 1;
  return found;
}

Encoding TermContext::encode(std::string_view term) const {
  Encoding found = tokenizer_.encode("\n" + std::string(term), false);
  if (!stands_apart(found.ids)) return tokenizer_.encode(term, false);
  found.ids.erase(found.ids.begin(), found.ids.begin() + std::ssize(before_));
  found.offsets.erase(found.offsets.begin(), found.offsets.begin() + std::ssize(before_));
  for (Offset& offset : found.offsets) {
    offset.begin = std::max<int64_t>(0, offset.begin - 1);
    --offset.end;
  }
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

#include "hone/infer/detail/stop_strings.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "hone/core/utf8.h"

namespace hone::infer::detail {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD, of a character's part

}  // namespace

StopStrings::StopStrings(const text::Tokenizer& tokenizer, std::vector<std::string> strings)
    : tokenizer_(tokenizer), strings_(std::move(strings)) {
  for (const std::string& string : strings_) longest_ = std::max(longest_, string.size());
  for (const int64_t id : tokenizer.special_ids()) special_.insert(id);
}

std::optional<size_t> StopStrings::find(std::span<const int64_t> ids, size_t first) const {
  if (strings_.empty() || ids.size() <= first) return std::nullopt;
  // Each token but special ones holds a byte at least; three more complete a first character. One
  // token before them lends its place to what a decoder does to the begin of a text.
  const size_t begin = std::max(first, ids.size() - std::min(ids.size(), longest_ + 3));
  const size_t context = begin > 0 ? begin - 1 : begin;
  const auto text = [&](size_t end, bool skip_special) {
    return tokenizer_.decode(
        {ids.begin() + static_cast<ptrdiff_t>(context), ids.begin() + static_cast<ptrdiff_t>(end)},
        skip_special);
  };
  std::string before = text(begin, false);
  while (before.ends_with(kReplacement)) before.resize(before.size() - kReplacement.size());
  const std::string all = text(ids.size(), false);
  size_t cut = std::string::npos;
  for (const std::string& string : strings_) cut = std::min(cut, all.find(string, before.size()));
  if (cut == std::string::npos) return std::nullopt;
  // Behind the token in which the string begins, special tokens do not count.
  size_t end = begin + 1;
  while (text(end, false).size() <= cut) ++end;
  size_t kept = text(end, true).size();
  if (!special_.contains(ids[end - 1])) kept -= std::min(kept, text(end, false).size() - cut);
  return text(ids.size(), true).size() - kept;
}

}  // namespace hone::infer::detail

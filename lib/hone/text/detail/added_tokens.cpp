#include "hone/text/detail/added_tokens.h"

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

constexpr size_t kMaxTokens = 2'000'000;
constexpr size_t kMaxTokenBytes = 4096;

/// \w as the Rust regex crate has it: Oniguruma's, and the joiners.
bool is_word(char32_t c) {
  return (unicode::char_classes()[c] & unicode::kWord) != 0 || c == 0x200C || c == 0x200D;
}

bool word_ends_at(std::string_view text, size_t end) {
  if (end == 0) return false;
  const char* p = previous_start(text.data() + end);
  return is_word(next_char(p));
}

bool word_starts_at(std::string_view text, size_t begin) {
  if (begin >= text.size()) return false;
  const char* p = text.data() + begin;
  return is_word(next_char(p));
}

size_t skip_spaces_left(std::string_view text, size_t end) {
  while (end > 0) {
    const char* start = previous_start(text.data() + end);
    const char* p = start;
    if (!(unicode::char_classes()[next_char(p)] & unicode::kSpace)) break;
    end = static_cast<size_t>(start - text.data());
  }
  return end;
}

size_t skip_spaces_right(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const char* p = text.data() + begin;
    if (!(unicode::char_classes()[next_char(p)] & unicode::kSpace)) break;
    begin = static_cast<size_t>(p - text.data());
  }
  return begin;
}

AddedToken parse_token(const Json& json, const std::string& source, size_t index) {
  Keys keys(json, source, "/added_tokens/" + std::to_string(index));
  AddedToken token;
  token.id = keys.required_integer("id", 0, INT32_MAX);
  token.content = keys.required_text("content");
  token.single_word = keys.required_flag("single_word");
  token.lstrip = keys.required_flag("lstrip");
  token.rstrip = keys.required_flag("rstrip");
  token.normalized = keys.required_flag("normalized");
  token.special = keys.required_flag("special");
  keys.done();
  if (token.content.empty()) keys.problem("content", "is empty");
  if (token.content.size() > kMaxTokenBytes) keys.problem("content", "is longer than 4096 bytes");
  return token;
}

}  // namespace

StringTrie::StringTrie() : values_(1, -1), root_(256, -1) {}

void StringTrie::add(std::string_view text, int32_t value) {
  int32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const auto [edge, fresh] = edges_.try_emplace(static_cast<uint64_t>(node) << 8 | byte, nodes_);
    if (fresh) {
      ++nodes_;
      values_.push_back(-1);
      if (node == 0) root_[byte] = edge->second;
    }
    node = edge->second;
  }
  if (values_[static_cast<size_t>(node)] < 0) values_[static_cast<size_t>(node)] = value;
}

int32_t StringTrie::longest(std::string_view text, size_t at, size_t& length) const {
  int32_t node = root_[static_cast<unsigned char>(text[at])];
  int32_t best = -1;
  for (size_t i = at + 1; node >= 0; ++i) {
    if (values_[static_cast<size_t>(node)] >= 0) {
      best = values_[static_cast<size_t>(node)];
      length = i - at;
    }
    if (i == text.size()) break;
    const auto edge =
        edges_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    node = edge == edges_.end() ? -1 : edge->second;
  }
  return best;
}

AddedTokens AddedTokens::parse(const Json& json, const std::string& source, const IdOf& model_id,
                               int64_t model_size) {
  AddedTokens result;
  if (json.is_null()) return result;
  if (!json.is_array()) throw IoError(source, "/added_tokens: expected list");
  if (json.size() > kMaxTokens) throw IoError(source, "/added_tokens: more than 2000000 tokens");
  int64_t next = model_size;
  for (size_t i = 0; i < json.size(); ++i) {
    AddedToken token = parse_token(json[i], source, i);
    const std::string where = "/added_tokens/" + std::to_string(i);
    if (!result.by_content_.try_emplace(token.content, i).second) {
      throw IoError(source, where + ": \"" + token.content + "\" is listed twice");
    }
    const int64_t known = model_id(token.content);
    const int64_t id = known >= 0 ? known : next;
    if (id != token.id) {
      throw IoError(source, where + "/id: \"" + token.content + "\" has id " +
                                std::to_string(token.id) + ", but " +
                                (known >= 0 ? "the vocabulary gives it "
                                            : "by counting on from the vocabulary it is ") +
                                std::to_string(id));
    }
    next = std::max(next, id + 1);
    result.by_id_.emplace(id, i);
    result.tokens_.push_back(std::move(token));
  }
  return result;
}

void AddedTokens::build(const Normalizer& normalizer, MatchScratch& scratch) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    AddedToken& token = tokens_[i];
    Buffer buffer;
    buffer.reset(token.content);
    if (token.normalized) normalizer.apply(buffer, scratch);
    token.decoded = buffer.text();
    if (!buffer.text().empty())
      tries_[token.normalized].add(buffer.text(), static_cast<int32_t>(i));
  }
}

void AddedTokens::split(std::string_view text, bool normalized, std::vector<Stretch>& out) const {
  const StringTrie& trie = tries_[normalized];
  const auto push = [&out](int64_t id, size_t begin, size_t end) {
    out.push_back({id, {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}});
  };
  size_t done = 0;
  for (size_t at = 0; !trie.empty() && at < text.size();) {
    size_t length = 0;
    const int32_t found = trie.longest(text, at, length);
    if (found < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(found)];
    size_t begin = at, end = at + length;
    at = end;
    if (token.single_word && (word_ends_at(text, begin) || word_starts_at(text, end))) continue;
    if (token.lstrip) begin = std::max(skip_spaces_left(text, begin), done);
    if (token.rstrip) end = skip_spaces_right(text, end);
    if (done < begin) push(-1, done, begin);
    push(token.id, begin, end);
    done = end;
  }
  if (done < text.size()) push(-1, done, text.size());
}

const AddedToken* AddedTokens::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

bool AddedTokens::is_special(std::string_view content) const {
  const AddedToken* token = find(content);
  return token && token->special;
}

}  // namespace hone::text::detail

#include "hone/text/detail/bpe_model.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/pre_tokenizer.h"

namespace hone::text::detail {
namespace {

// Beyond this many symbols the heap's n log n beats scanning for the best pair.
constexpr size_t kFewSymbols = 48;

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text.substr(0, 80)) + (text.size() > 80 ? "...\"" : "\"");
}

/// Orders std::push_heap so that the lowest rank, then the leftmost position, is on top.
bool is_later(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

BpeModel BpeModel::parse(const Json& json, const std::string& source) {
  BpeModel model;
  Keys keys(json, source, "/model");
  // Files older than the field "type" hold BPE if they hold merges.
  const auto type = keys.text("type");
  if (type != "BPE" && !(!type && json.contains("merges"))) {
    keys.problem("type", "unknown model \"" + type.value_or("") + "\"; known is BPE");
  }
  const Json* dropout = keys.find("dropout");
  if (dropout && !(dropout->is_number() && dropout->get<double>() == 0)) {
    keys.problem("dropout", "is not supported; set it to null");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!keys.text(key).value_or("").empty())
      keys.problem(key, "is not supported; it must be empty");
  }
  model.fuse_unk_ = keys.flag("fuse_unk").value_or(false);
  model.byte_fallback_ = keys.flag("byte_fallback").value_or(false);
  model.ignore_merges_ = keys.flag("ignore_merges").value_or(false);
  const auto unk = keys.text("unk_token");
  model.read_vocabulary(keys.required_object("vocab"), source);
  model.read_merges(keys.required_list("merges"), source);
  keys.done();
  if (unk) {
    model.has_unk_ = true;
    model.unk_token_ = *unk;
    model.unk_id_ = model.find(*unk);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    model.fallback_ids_[byte] = model.find(text);
  }
  return model;
}

void BpeModel::read_vocabulary(const Json& json, const std::string& source) {
  int64_t end = 0;
  for (auto entry = json.begin(); entry != json.end(); ++entry) {
    const auto id = integer_in(entry.value(), 0, kMaxId - 1);
    if (!id) {
      throw IoError(source, "/model/vocab: token " + in_quotes(entry.key()) +
                                " must have an integer id in [0, " + std::to_string(kMaxId) +
                                "), got " + entry.value().dump().substr(0, 40));
    }
    end = std::max(end, *id + 1);
  }
  tokens_.resize(static_cast<size_t>(end), {UINT32_MAX, 0});
  for (auto entry = json.begin(); entry != json.end(); ++entry) {
    const auto id = entry.value().get<uint32_t>();
    if (tokens_[id].first != UINT32_MAX) {
      throw IoError(source, "/model/vocab: tokens " + in_quotes(token(id)) + " and " +
                                in_quotes(entry.key()) + " both have id " + std::to_string(id));
    }
    vocabulary_.insert(entry.key(), id);
    tokens_[id] = {static_cast<uint32_t>(texts_.size()), static_cast<uint32_t>(entry.key().size())};
    texts_ += entry.key();
  }
}

void BpeModel::read_merges(const Json& json, const std::string& source) {
  size_t slots = 64;
  while (slots < 2 * json.size()) slots *= 2;
  merges_.resize(slots);
  uint32_t rank = 0;
  for (size_t i = 0; i < json.size(); ++i) {
    const Json& item = json[i];
    const std::string where = "/model/merges/" + std::to_string(i);
    if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      add_merge(item[0].get_ref<const std::string&>(), item[1].get_ref<const std::string&>(),
                rank++, source, where);
      continue;
    }
    if (!item.is_string()) {
      throw IoError(source, where + ": expected \"left right\" or [left, right]");
    }
    const std::string_view text = item.get_ref<const std::string&>();
    if (text.substr(0, 8) == "#version") continue;
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      throw IoError(source,
                    where + ": expected two tokens with one space between, got " + in_quotes(text));
    }
    add_merge(text.substr(0, space), text.substr(space + 1), rank++, source, where);
  }
}

void BpeModel::add_merge(std::string_view left, std::string_view right, uint32_t rank,
                         const std::string& source, const std::string& where) {
  const auto need = [&](std::string_view text) {
    const int64_t id = find(text);
    if (id < 0)
      throw IoError(source, where + ": token " + in_quotes(text) + " is not in the vocabulary");
    return static_cast<uint32_t>(id);
  };
  const uint64_t pair = uint64_t{need(left)} << 32 | need(right);
  const uint32_t id = need(std::string(left) + std::string(right));
  const size_t mask = merges_.size() - 1;
  size_t at = hash_pair(pair) & mask;
  while (merges_[at].pair != UINT64_MAX && merges_[at].pair != pair) at = (at + 1) & mask;
  merges_[at] = {pair, rank, id};  // of two equal merges the later counts
}

std::string_view BpeModel::token(int64_t id) const {
  if (id < 0 || id >= end_id() || tokens_[static_cast<size_t>(id)].first == UINT32_MAX) return {};
  const auto [begin, length] = tokens_[static_cast<size_t>(id)];
  return {texts_.data() + begin, length};
}

bool BpeModel::take_bytes() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = find(to_utf8(byte_to_char(static_cast<uint8_t>(byte))));
    if (byte_ids_[byte] < 0) return false;
  }
  takes_bytes_ = true;
  if (!ignore_merges_) return true;
  for (int64_t id = 0; id < end_id(); ++id) {
    const std::string_view text = token(id);
    if (!text.data()) continue;
    std::string bytes;
    bool mapped = true;
    for (const char *p = text.data(), *end = p + text.size(); mapped && p < end;) {
      const int byte = char_to_byte(next_char(p));
      mapped = byte >= 0;
      bytes += static_cast<char>(byte);
    }
    if (mapped) plain_.insert(bytes, static_cast<uint32_t>(id));
  }
  return true;
}

inline const BpeModel::Merge* BpeModel::find_merge(uint32_t left, uint32_t right) const {
  const uint64_t pair = uint64_t{left} << 32 | right;
  const size_t mask = merges_.size() - 1;
  for (size_t at = hash_pair(pair) & mask;; at = (at + 1) & mask) {
    if (merges_[at].pair == pair) return &merges_[at];
    if (merges_[at].pair == UINT64_MAX) return nullptr;
  }
}

inline uint64_t BpeModel::ranked(uint32_t left, uint32_t right) const {
  const Merge* merge = find_merge(left, right);
  return merge ? uint64_t{merge->rank} << 32 | merge->id : UINT64_MAX;
}

std::span<const PieceToken> BpeModel::encode(std::string_view piece, BpeScratch& scratch) const {
  if (piece.empty()) return {};
  const uint64_t hash = hash_piece(piece);
  if (ignore_merges_) {
    const int64_t id = (takes_bytes_ ? plain_ : vocabulary_).find(piece, hash);
    if (id >= 0) {
      scratch.tokens = {{static_cast<uint32_t>(id), static_cast<uint32_t>(piece.size())}};
      return scratch.tokens;
    }
  }
  CachedPiece& seen = scratch.seen[hash >> 32 & (scratch.seen.size() - 1)];
  if (seen.size == piece.size() && std::memcmp(seen.bytes.data(), piece.data(), seen.size) == 0) {
    return std::span(seen.tokens).first(seen.count);
  }
  encode_fresh(piece, scratch);
  const std::vector<PieceToken>& tokens = scratch.tokens;
  if (piece.size() <= CachedPiece::kMaxBytes && tokens.size() <= CachedPiece::kMaxTokens) {
    seen.size = static_cast<uint8_t>(piece.size());
    seen.count = static_cast<uint8_t>(tokens.size());
    std::copy(piece.begin(), piece.end(), seen.bytes.begin());
    std::copy(tokens.begin(), tokens.end(), seen.tokens.begin());
  }
  return tokens;
}

void BpeModel::encode_fresh(std::string_view piece, BpeScratch& scratch) const {
  scratch.tokens.clear();
  if (takes_bytes_) {
    for (const char c : piece) {
      scratch.tokens.push_back(
          {static_cast<uint32_t>(byte_ids_[static_cast<unsigned char>(c)]), 1});
    }
  } else {
    split_chars(piece, scratch.tokens);
  }
  if (scratch.tokens.size() <= kFewSymbols) {
    merge_few(scratch);
  } else {
    merge_many(scratch);
  }
}

void BpeModel::split_chars(std::string_view piece, std::vector<PieceToken>& out) const {
  uint32_t unknown = 0;  // bytes of unknown characters not yet written
  const auto flush = [&] {
    if (unknown > 0) out.push_back({static_cast<uint32_t>(unk_id_), unknown});
    unknown = 0;
  };
  for (size_t at = 0; at < piece.size();) {
    const auto length = static_cast<uint32_t>(sequence_length(piece[at]));
    const std::string_view character = piece.substr(at, length);
    at += length;
    const int64_t id = find(character);
    if (id >= 0) {
      flush();
      out.push_back({static_cast<uint32_t>(id), length});
      continue;
    }
    // Byte tokens overtake unknown ones that wait to be fused: so it is in `tokenizers`.
    if (byte_fallback_ && add_byte_tokens(character, out)) continue;
    if (!has_unk_) continue;
    if (unk_id_ < 0) {
      throw Error("tokenizer: unk_token " + in_quotes(unk_token_) +
                  " is not in the vocabulary, and the text needs it for " + in_quotes(character));
    }
    if (!fuse_unk_) flush();
    unknown += length;
  }
  flush();
}

bool BpeModel::add_byte_tokens(std::string_view character, std::vector<PieceToken>& out) const {
  const auto id = [this](char c) { return fallback_ids_[static_cast<unsigned char>(c)]; };
  for (const char c : character) {
    if (id(c) < 0) return false;
  }
  for (const char c : character) out.push_back({static_cast<uint32_t>(id(c)), 1});
  return true;
}

void BpeModel::merge_few(BpeScratch& scratch) const {
  std::vector<PieceToken>& tokens = scratch.tokens;
  if (tokens.size() < 2) return;
  size_t pairs = tokens.size() - 1;
  std::vector<uint64_t>& ranks = scratch.ranks;
  ranks.resize(pairs);
  for (size_t i = 0; i < pairs; ++i) ranks[i] = ranked(tokens[i].id, tokens[i + 1].id);
  while (pairs > 0) {
    size_t best = 0;
    for (size_t i = 1; i < pairs; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == UINT64_MAX) break;
    tokens[best] = {static_cast<uint32_t>(ranks[best]),
                    tokens[best].length + tokens[best + 1].length};
    for (size_t i = best + 1; i < pairs; ++i) {
      tokens[i] = tokens[i + 1];
      ranks[i - 1] = ranks[i];
    }
    --pairs;
    if (best < pairs) ranks[best] = ranked(tokens[best].id, tokens[best + 1].id);
    if (best > 0) ranks[best - 1] = ranked(tokens[best - 1].id, tokens[best].id);
  }
  tokens.resize(pairs + 1);
}

/// Offers the pair that starts at `position` to the heap.
void BpeModel::offer(BpeScratch& scratch, int32_t position) const {
  const auto at = [&](int32_t i) -> const BpeScratch::Symbol& {
    return scratch.symbols[static_cast<size_t>(i)];
  };
  if (position < 0 || at(position).next < 0) return;
  if (const Merge* merge = find_merge(at(position).id, at(at(position).next).id)) {
    scratch.heap.push_back({merge->rank, static_cast<uint32_t>(position), merge->id});
    std::push_heap(scratch.heap.begin(), scratch.heap.end(), is_later);
  }
}

void BpeModel::merge_many(BpeScratch& scratch) const {
  std::vector<BpeScratch::Symbol>& symbols = scratch.symbols;
  const auto count = static_cast<int32_t>(scratch.tokens.size());
  symbols.clear();
  scratch.heap.clear();
  for (int32_t i = 0; i < count; ++i) {
    const PieceToken token = scratch.tokens[static_cast<size_t>(i)];
    symbols.push_back({token.id, token.length, i - 1, i + 1 < count ? i + 1 : -1});
  }
  for (int32_t i = 0; i + 1 < count; ++i) {
    if (const Merge* merge = find_merge(symbols[static_cast<size_t>(i)].id,
                                        symbols[static_cast<size_t>(i) + 1].id)) {
      scratch.heap.push_back({merge->rank, static_cast<uint32_t>(i), merge->id});
    }
  }
  std::make_heap(scratch.heap.begin(), scratch.heap.end(), is_later);
  while (!scratch.heap.empty()) {
    const BpeScratch::Candidate top = scratch.heap.front();
    std::pop_heap(scratch.heap.begin(), scratch.heap.end(), is_later);
    scratch.heap.pop_back();
    BpeScratch::Symbol& left = symbols[top.position];
    if (left.length == 0 || left.next < 0) continue;  // merged into its left, or the last
    BpeScratch::Symbol& right = symbols[static_cast<size_t>(left.next)];
    const Merge* merge = find_merge(left.id, right.id);
    if (!merge || merge->id != top.id) continue;  // the pair has changed since it was offered
    left = {top.id, left.length + right.length, left.previous, right.next};
    right.length = 0;
    const auto position = static_cast<int32_t>(top.position);
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = position;
    offer(scratch, left.previous);
    offer(scratch, position);
  }
  scratch.tokens.clear();
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    scratch.tokens.push_back(
        {symbols[static_cast<size_t>(i)].id, symbols[static_cast<size_t>(i)].length});
  }
}

}  // namespace hone::text::detail

/// The `model` of a tokenizer.json: byte-pair encoding of one piece.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/detail/string_table.h"

namespace hone::text::detail {

/// A token of a piece and how many of the piece's bytes it stands for.
struct PieceToken {
  uint32_t id, length;
};

/// A short piece and its tokens, in one cache line.
struct alignas(64) CachedPiece {
  static constexpr size_t kMaxBytes = 22, kMaxTokens = 5;
  uint8_t size = 0, count = 0;  ///< size 0: free
  std::array<char, kMaxBytes> bytes;
  std::array<PieceToken, kMaxTokens> tokens;
};
static_assert(sizeof(CachedPiece) == 64);

/// Working memory of encoding, and pieces seen before; one a thread.
struct BpeScratch {
  struct Symbol {
    uint32_t id, length;
    int32_t previous, next;  ///< -1: none
  };
  struct Candidate {
    uint32_t rank, position, id;
  };
  std::vector<PieceToken> tokens;
  std::vector<uint64_t> ranks;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::vector<CachedPiece> seen = std::vector<CachedPiece>(1 << 15);  ///< by hash; later ones win
};

/// Merges adjacent symbols in order of rank, leftmost first, as the `tokenizers` package does.
class BpeModel {
 public:
  static constexpr int64_t kMaxId = 10'000'000;

  /// Throws: IoError.
  static BpeModel parse(const Json& json, const std::string& source);

  size_t entries() const { return vocabulary_.size(); }
  /// -1 if the vocabulary lacks the token.
  int64_t find(std::string_view token) const { return vocabulary_.find(token); }
  /// Highest id + 1.
  int64_t end_id() const { return static_cast<int64_t>(tokens_.size()); }
  /// The token with an id, "" with data() null if there is none.
  std::string_view token(int64_t id) const;

  /// Makes encode() take plain bytes for the printable characters that ByteLevel maps them to.
  /// False, and nothing changed, if some byte has no token.
  bool take_bytes();

  /// The tokens of a piece, valid until the next call with `scratch`. Throws: Error if the
  /// vocabulary lacks the unknown token.
  std::span<const PieceToken> encode(std::string_view piece, BpeScratch& scratch) const;

 private:
  struct Merge {
    uint64_t pair = UINT64_MAX;
    uint32_t rank = 0, id = 0;
  };

  void read_vocabulary(const Json& json, const std::string& source);
  void read_merges(const Json& json, const std::string& source);
  void add_merge(std::string_view left, std::string_view right, uint32_t rank,
                 const std::string& source, const std::string& where);
  static size_t hash_pair(uint64_t pair) {
    return fold_multiply(pair ^ 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93);
  }
  const Merge* find_merge(uint32_t left, uint32_t right) const;
  /// rank << 32 | id of a pair's merge; all ones if there is none.
  uint64_t ranked(uint32_t left, uint32_t right) const;

  void split_chars(std::string_view piece, std::vector<PieceToken>& out) const;
  bool add_byte_tokens(std::string_view character, std::vector<PieceToken>& out) const;
  void encode_fresh(std::string_view piece, BpeScratch& scratch) const;
  void merge_few(BpeScratch& scratch) const;
  void merge_many(BpeScratch& scratch) const;
  void offer(BpeScratch& scratch, int32_t position) const;

  StringTable vocabulary_;                             ///< token text -> id
  std::vector<std::pair<uint32_t, uint32_t>> tokens_;  ///< id -> place in texts_; length 0: none
  std::string texts_;
  std::vector<Merge> merges_;                ///< open addressing
  StringTable plain_;                        ///< with take_bytes(): token bytes -> id
  std::array<int64_t, 256> byte_ids_{};      ///< with take_bytes(): the token of each byte
  std::array<int64_t, 256> fallback_ids_{};  ///< <0x00> to <0xFF>, -1 where missing
  std::string unk_token_;
  int64_t unk_id_ = -1;
  bool has_unk_ = false, fuse_unk_ = false, byte_fallback_ = false, ignore_merges_ = false;
  bool takes_bytes_ = false;
};

}  // namespace hone::text::detail

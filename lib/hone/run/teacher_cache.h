/// A teacher's rows of probabilities, scored once and kept in files.
///
/// A cache is a folder:
///
///   teacher_cache.json       CacheInfo; statistics; the shards with their hashes
///   rows-00000.safetensors   of n targets in d documents:
///     ids [n, k] I32, log_probs [n, k] F32   the likeliest tokens, likeliest first
///     log_tail [n] F32                       ln of the mass of all others
///     labels [n] I32                         the targets themselves
///     keys [d, 32] U8, offsets [d + 1] I64   document_key() of each document, its first row
///
/// Rows are found by the document's tokens, whatever the order, mix and batches of a run.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/batch.h"
#include "hone/data/dataset.h"
#include "hone/io/safetensors.h"
#include "hone/kernels/top_tokens.h"
#include "hone/text/tokenizer.h"

namespace hone::run {

inline constexpr const char* kTeacherCacheFile = "teacher_cache.json";
/// Of a shard's metadata.
inline constexpr const char *kCacheInfoKey = "hone_teacher_cache", *kCacheSumsKey = "sums";

/// Whose rows a cache has.
struct CacheInfo {
  std::string teacher;     ///< its folder, as the recipe named it
  std::string weights;     ///< hash of its weights
  std::string tokens;      ///< tokens_hash() of its tokenizer
  int64_t vocabulary = 0;  ///< tokens that have a part
  int64_t top_k = 0;       ///< of them that a row has
  std::string computed;    ///< where and in which numbers

  Json json() const;
  /// Reads teacher_cache.json of `folder`. Throws: IoError if it is not there (the cache was not
  ///   finished) or not understood; Error if `tokenizer` has other tokens.
  static CacheInfo read(const std::string& folder, const text::Tokenizer& tokenizer);
};

/// XXH3-128 over all tokens in the order of their ids.
std::string tokens_hash(const text::Tokenizer& tokenizer);

/// XXH3-128 over a document's ids and targets, which have one length.
std::string document_key(const int64_t* ids, const int64_t* targets, int64_t length);

/// A finished cache, for reading; the rows stay in the files.
class TeacherCache {
 public:
  /// Throws: what CacheInfo::read throws; IoError naming a file that is missing or damaged.
  TeacherCache(const std::string& folder, const text::Tokenizer& tokenizer);

  const CacheInfo& info() const { return info_; }
  /// Throws: Error naming the first set that has documents which are not in the cache.
  void check(const std::vector<data::DatasetPtr>& sets) const;
  /// The rows of a batch's targets; zeros at positions without one.
  /// Throws: Error showing the first document that is not in the cache; IoError for damaged rows.
  kernels::TopTokens rows(const data::Batch& batch, at::Device device) const;

 private:
  struct Place {
    size_t shard = 0;
    int64_t begin = 0, end = 0;
  };

  std::string folder_;
  CacheInfo info_;
  std::vector<io::Safetensors> shards_;
  std::unordered_map<std::string, Place> places_;
};

}  // namespace hone::run

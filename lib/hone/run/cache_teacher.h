/// Scoring a teacher over a recipe's data once, for the runs that learn from it.
#pragma once
#include <cstdint>
#include <string>

#include "hone/run/config.h"
#include "hone/run/context.h"

namespace hone::run {

/// Bytes of a shard of a cache, about.
inline constexpr int64_t kCacheShardBytes = int64_t{64} << 20;

/// Writes the cache (run/teacher_cache.h) of distillation.teacher over the documents of data.train
/// that are drawn, each once, distillation.top_k tokens a target, into `folder`; augmentation
/// changes nothing in it. What a stopped one had finished is kept: gone on with, the files are the
/// same to the byte.
/// The report is the folder's teacher_cache.json: `statistics` has `targets`, `documents`, the mean
/// `kept_mass` and `entropy` (nats, of whole rows), and `agreement`, the share of targets that the
/// teacher holds likeliest.
/// Throws: ConfigError; IoError; DataError; Error where the folder holds another cache, the teacher
///   has another tokenizer, or top_k is over the vocabulary.
Report cache_teacher(const Config& config, const std::string& folder,
                     int64_t shard_bytes = kCacheShardBytes);

}  // namespace hone::run

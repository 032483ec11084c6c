#include "hone/run/teacher_cache.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <string_view>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/keys.h"
#include "hone/io/files.h"
#include "hone/io/tensors.h"

namespace hone::run {
namespace {

constexpr int64_t kKeyLength = 32;
constexpr int64_t kMost = int64_t{1} << 40;

/// A tensor of a shard of this type and shape (-1: any).
const io::TensorInfo& expect(const io::Safetensors& file, const std::string& name, io::Dtype dtype,
                             const std::vector<int64_t>& shape) {
  const io::TensorInfo* info = file.find(name);
  const bool fits =
      info && info->dtype == dtype && info->shape.size() == shape.size() &&
      std::equal(shape.begin(), shape.end(), info->shape.begin(),
                 [](int64_t wanted, int64_t got) { return wanted < 0 || wanted == got; });
  if (!fits) {
    throw IoError(file.path(), fmt::format("is no shard of a teacher's cache: it needs {} {}",
                                           io::dtype_name(dtype), name));
  }
  return *info;
}

/// The targets of a document, and where they stand.
std::vector<int64_t> target_positions(const data::Batch& batch, int64_t begin, int64_t end) {
  std::vector<int64_t> positions;
  for (int64_t i = begin; i < end; ++i) {
    if (batch.targets[i] != data::kIgnoreIndex) positions.push_back(i);
  }
  return positions;
}

std::string first_ids(const int64_t* ids, int64_t length) {
  constexpr int64_t kShown = 12;
  return fmt::format("{}{}", fmt::join(ids, ids + std::min(length, kShown), " "),
                     length > kShown ? " ..." : "");
}

}  // namespace

Json CacheInfo::json() const {
  return {{"teacher", teacher},       {"weights", weights}, {"tokens", tokens},
          {"vocabulary", vocabulary}, {"top_k", top_k},     {"computed", computed}};
}

CacheInfo CacheInfo::read(const std::string& folder, const text::Tokenizer& tokenizer) {
  const std::string path = folder + "/" + kTeacherCacheFile;
  if (!io::path_exists(path)) {
    throw IoError(folder, fmt::format("holds no finished cache of a teacher ({} is missing); write "
                                      "it with hone-domain --cache-teacher {}",
                                      kTeacherCacheFile, folder));
  }
  const Json json = read_json_file(path);
  Keys keys(json, path, "");
  CacheInfo info{keys.required_text("teacher"),
                 keys.required_text("weights"),
                 keys.required_text("tokens"),
                 keys.required_integer("vocabulary", 1, kMost),
                 keys.required_integer("top_k", 1, kMost),
                 keys.required_text("computed")};
  if (info.top_k > info.vocabulary) keys.problem("top_k", "is over the vocabulary");
  if (info.tokens != tokens_hash(tokenizer)) {
    throw Error(
        fmt::format("distillation.cache: {} was written with another tokenizer than the "
                    "run's; rows of probabilities compare under one tokenizer only",
                    folder));
  }
  return info;
}

std::string tokens_hash(const text::Tokenizer& tokenizer) {
  std::string all;
  for (int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string token = tokenizer.id_to_token(id);
    all += std::to_string(token.size()) + ":" + token;
  }
  return hash_bytes(all);
}

std::string document_key(const int64_t* ids, const int64_t* targets, int64_t length) {
  const auto bytes = [length](const int64_t* numbers) {
    return std::string_view(reinterpret_cast<const char*>(numbers),
                            static_cast<size_t>(length) * sizeof(int64_t));
  };
  return hash_bytes(std::string(bytes(ids)).append(bytes(targets)));
}

TeacherCache::TeacherCache(const std::string& folder, const text::Tokenizer& tokenizer)
    : folder_(folder), info_(CacheInfo::read(folder, tokenizer)) {
  const std::string path = folder + "/" + kTeacherCacheFile;
  const Json json = read_json_file(path);
  Keys keys(json, path, "");
  for (const Json& shard : keys.required_list("shards")) {
    Keys fields(shard, path, "/shards/" + std::to_string(shards_.size()));
    const std::string file = folder + "/" + fields.required_text("file");
    if (hash_file(file) != fields.required_text("hash")) {
      throw IoError(file,
                    "is damaged: its hash is not the one that the cache was finished with; "
                    "remove it and write the cache again");
    }
    const io::Safetensors& rows = shards_.emplace_back(file);
    const int64_t n = expect(rows, "labels", io::Dtype::I32, {-1}).shape[0];
    expect(rows, "ids", io::Dtype::I32, {n, info_.top_k});
    expect(rows, "log_probs", io::Dtype::F32, {n, info_.top_k});
    expect(rows, "log_tail", io::Dtype::F32, {n});
    const int64_t d = expect(rows, "keys", io::Dtype::U8, {-1, kKeyLength}).shape[0];
    expect(rows, "offsets", io::Dtype::I64, {d + 1});
    const at::Tensor names = io::read_tensor(rows, "keys"),
                     offsets = io::read_tensor(rows, "offsets");
    const auto* name = static_cast<const char*>(names.const_data_ptr());
    const auto* offset = static_cast<const int64_t*>(offsets.const_data_ptr());
    for (int64_t i = 0; i < d; ++i) {
      if (offset[i] < 0 || offset[i] > offset[i + 1] || offset[i + 1] > n) {
        throw IoError(file, "is no shard of a teacher's cache: its offsets are not in order");
      }
      places_[std::string(name + i * kKeyLength, kKeyLength)] = {shards_.size() - 1, offset[i],
                                                                 offset[i + 1]};
    }
  }
}

void TeacherCache::check(const std::vector<data::DatasetPtr>& sets) const {
  for (const data::DatasetPtr& set : sets) {
    if (set->weight == 0) continue;
    const auto missing = std::count_if(
        set->examples.begin(), set->examples.end(), [this](const data::Example& example) {
          return !places_.contains(
              document_key(example.ids.data(), example.targets.data(), example.length()));
        });
    if (missing == 0) continue;
    throw Error(fmt::format(
        "distillation.cache: {} has no rows for {} of {} documents of the data set \"{}\": it was "
        "written of other text, or text cut or masked otherwise (data.tokens_per_batch, "
        "max_length, templates); write it again with this recipe",
        folder_, missing, set->examples.size(), set->name));
  }
}

kernels::TopTokens TeacherCache::rows(const data::Batch& batch, at::Device device) const {
  const int64_t tokens = batch.tokens();
  const auto wide = at::TensorOptions().dtype(at::kFloat);
  kernels::TopTokens top{at::zeros({tokens, info_.top_k}, at::kLong),
                         at::zeros({tokens, info_.top_k}, wide), at::zeros({tokens}, wide),
                         info_.vocabulary};
  for (int64_t d = 0; d < batch.documents(); ++d) {
    const int64_t begin = batch.offsets[d], length = batch.offsets[d + 1] - begin;
    const int64_t *ids = &batch.input_ids[begin], *targets = &batch.targets[begin];
    const auto found = places_.find(document_key(ids, targets, length));
    if (found == places_.end()) {
      throw Error(
          fmt::format("distillation.cache: {} has no rows for a document of the run; it "
                      "begins with the ids {}",
                      folder_, first_ids(ids, length)));
    }
    const Place& place = found->second;
    const io::Safetensors& file = shards_[place.shard];
    const auto read = [&](const char* name) {
      return io::read_rows(file, *file.find(name), place.begin, place.end);
    };
    const std::vector<int64_t> positions = target_positions(batch, begin, begin + length);
    const at::Tensor index = torch::tensor(positions, at::kLong);
    const at::Tensor kept = read("ids").to(at::kLong);
    const at::Tensor labels = torch::tensor(batch.targets, at::kLong).index_select(0, index);
    if (!at::equal(read("labels").to(at::kLong), labels) || kept.lt(0).any().item<bool>() ||
        kept.ge(info_.vocabulary).any().item<bool>()) {
      throw IoError(file.path(), "holds rows of other targets than their document has");
    }
    top.ids.index_copy_(0, index, kept);
    top.log_probs.index_copy_(0, index, read("log_probs"));
    top.log_tail.index_copy_(0, index, read("log_tail"));
  }
  return {top.ids.to(device), top.log_probs.to(device), top.log_tail.to(device), top.vocabulary};
}

}  // namespace hone::run

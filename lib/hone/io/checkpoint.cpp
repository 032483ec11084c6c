#include "hone/io/checkpoint.h"

#include <torch/types.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/hash.h"
#include "hone/core/names.h"
#include "hone/io/atomic.h"
#include "hone/io/files.h"
#include "hone/io/quantised_weights.h"
#include "hone/io/safetensors_index.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

/// What a checkpoint folder holds beside weights and config.json.
constexpr const char* kCompanions[] = {
    "generation_config.json", "tokenizer.json",      "tokenizer_config.json",
    "tokenizer.model",        "vocab.json",          "merges.txt",
    "added_tokens.json",      "chat_template.jinja", "chat_template.json",
    "special_tokens_map.json"};

/// Says why there are no weights to read; a pickle is the usual reason.
[[noreturn]] void refuse(const std::string& folder) {
  std::error_code error;
  const std::set<std::string> pickles = {".bin", ".pt", ".pth", ".ckpt"};
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!pickles.count(entry.path().extension())) continue;
    throw IoError(
        entry.path(),
        "is a Python pickle, which can run any code when it is read; hone reads "
        "safetensors only: save the model from transformers with safe_serialization=True");
  }
  throw IoError(folder, std::string("holds neither ") + kSingle + " nor " + kIndex);
}

/// Files of a sharded checkpoint with their tensors; the map of one that is not is empty.
std::map<std::string, std::string> read_index(const std::string& folder) {
  if (path_exists(folder + "/" + kSingle)) return {};
  const std::string path = folder + "/" + kIndex;
  if (!path_exists(path)) refuse(folder);
  return parse_safetensors_index(read_file(path), path);
}

/// Consecutive tensors that share a file.
std::vector<std::vector<WrittenTensor>> split(const std::vector<WrittenTensor>& tensors,
                                              int64_t max_bytes) {
  std::vector<std::vector<WrittenTensor>> shards(1);
  int64_t bytes = 0;
  for (const WrittenTensor& tensor : tensors) {
    if (!shards.back().empty() && bytes + tensor.bytes() > max_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(tensor);
    bytes += tensor.bytes();
  }
  return shards;
}

int64_t total_bytes(const std::vector<WrittenTensor>& tensors) {
  int64_t bytes = 0;
  for (const WrittenTensor& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

/// "model-00002-of-00005.safetensors".
std::string shard_name(size_t number, size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

void write_shard(const std::string& path, const std::vector<WrittenTensor>& tensors) {
  write_safetensors(path, tensors, {{"format", "pt"}});
}

void write_shards(const std::string& folder,
                  const std::vector<std::vector<WrittenTensor>>& shards) {
  Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
  std::map<std::string, std::string> weight_map;
  int64_t bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = shard_name(i + 1, shards.size());
    write_shard(folder + "/" + file, shards[i]);
    bytes += total_bytes(shards[i]);
    for (const WrittenTensor& tensor : shards[i]) {
      TORCH_CHECK_VALUE(weight_map.emplace(tensor.name, file).second,
                        "write_checkpoint: two tensors named ", tensor.name);
    }
  }
  index["metadata"]["total_size"] = bytes;
  index["weight_map"] = weight_map;
  write_file(folder + "/" + kIndex, index.dump(2) + "\n");
}

}  // namespace

bool has_weights(const std::string& folder) {
  return path_exists(folder + "/" + kSingle) || path_exists(folder + "/" + kIndex);
}

Checkpoint Checkpoint::open(const std::string& folder) {
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  checkpoint.config_ = read_json_file(folder + "/config.json");
  if (!checkpoint.config_.is_object()) throw IoError(folder + "/config.json", "is no JSON object");
  const auto index = read_index(folder);
  std::set<std::string> files;
  for (const auto& [name, file] : index) files.insert(file);
  if (files.empty()) files.insert(kSingle);
  for (const std::string& file : files) {
    const size_t shard = checkpoint.shards_.size();
    checkpoint.shards_.emplace_back(folder + "/" + file);
    for (const TensorInfo& info : checkpoint.shards_.back().tensors()) {
      const auto mapped = index.find(info.name);
      if (!index.empty() && (mapped == index.end() || mapped->second != file)) {
        throw IoError(folder + "/" + file,
                      "holds tensor \"" + info.name + "\", which the index places " +
                          (mapped == index.end() ? "nowhere" : "in " + mapped->second));
      }
      checkpoint.shard_of_.emplace(info.name, shard);
    }
  }
  for (const auto& [name, file] : index) {
    if (!checkpoint.has(name)) {
      throw IoError(folder + "/" + file,
                    "lacks tensor \"" + name + "\", which the index places in it");
    }
  }
  return checkpoint;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, shard] : shard_of_) names.push_back(name);
  return names;
}

const TensorInfo& Checkpoint::info(const std::string& name) const {
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end()) {
    throw IoError(folder_, "has no tensor \"" + name + "\"" + did_you_mean(name, names()));
  }
  return *shards_[found->second].find(name);
}

at::Tensor Checkpoint::load(const std::string& name) const {
  info(name);
  return read_tensor(shards_[shard_of_.at(name)], name);
}

at::Tensor Checkpoint::load_rows(const std::string& name, int64_t begin, int64_t end) const {
  const TensorInfo& tensor = info(name);
  return read_rows(shards_[shard_of_.at(name)], tensor, begin, end);
}

int64_t Checkpoint::bytes() const {
  int64_t bytes = 0;
  for (const Safetensors& shard : shards_) {
    for (const TensorInfo& info : shard.tensors()) bytes += static_cast<int64_t>(info.bytes());
  }
  return bytes;
}

std::string Checkpoint::hash() const {
  if (hash_.empty()) {
    std::string all;
    for (const Safetensors& shard : shards_) {
      all += fs::path(shard.path()).filename().string() + " " + hash_file(shard.path()) + "\n";
    }
    hash_ = hash_bytes(all);
  }
  return hash_;
}

void copy_companion_files(const std::string& from, const std::string& to) {
  for (const char* name : kCompanions) {
    const std::string source = from + "/" + name, target = to + "/" + name;
    if (path_exists(source) && !path_exists(target)) write_file(target, read_file(source));
  }
}

void write_checkpoint(const std::string& folder, const Json& config, const NamedTensors& tensors,
                      const CheckpointOptions& options) {
  TORCH_CHECK_VALUE(options.max_shard_bytes > 0, "write_checkpoint: max_shard_bytes must be > 0");
  const std::vector<WrittenTensor> all =
      options.quantised_as ? QuantisedWeights(*options.quantised_as)
                                 .written(tensors, options.types, options.stored_names)
                           : written(tensors, options.types);
  check_free_space(folder, total_bytes(all));
  write_file(folder + "/config.json", config.dump(2) + "\n");
  const auto shards = split(all, options.max_shard_bytes);
  if (shards.size() == 1) {
    write_shard(folder + "/" + kSingle, shards[0]);
  } else {
    write_shards(folder, shards);
  }
  if (!options.source_folder.empty()) copy_companion_files(options.source_folder, folder);
}

void save_checkpoint(const std::string& folder, const Json& config, const NamedTensors& tensors,
                     const CheckpointOptions& options) {
  AtomicFolder atomic(folder, AtomicFolder::Existing::kReplace);
  write_checkpoint(atomic.path(), config, tensors, options);
  atomic.commit();
}

}  // namespace hone::io

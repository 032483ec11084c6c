/// Hugging Face checkpoint folders: config.json, safetensors weights, and the files beside them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/safetensors.h"
#include "hone/io/tensors.h"

namespace hone::io {

/// Whether the folder holds files of weights that Checkpoint could open.
bool has_weights(const std::string& folder);

/// A checkpoint folder open for reading. Weights are read on demand, one tensor at a time.
class Checkpoint {
 public:
  /// Reads config.json and the headers of model.safetensors, or of every shard that
  /// model.safetensors.index.json names; each tensor must lie in the shard that the index says and
  /// in no other. Pickles (.bin, .pt, .pth, .ckpt) are refused by name.
  /// Throws: IoError.
  static Checkpoint open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const Json& config() const { return config_; }

  /// Sorted.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return shard_of_.count(name) > 0; }
  /// The five below throw IoError, with the nearest name, if there is no such tensor.
  const TensorInfo& info(const std::string& name) const;
  const std::vector<int64_t>& shape(const std::string& name) const { return info(name).shape; }
  at::ScalarType dtype(const std::string& name) const { return to_scalar_type(info(name).dtype); }
  /// A copy of its own on the CPU, in the dtype of the file.
  at::Tensor load(const std::string& name) const;
  /// Rows [begin, end) of one of at least one dimension, in the same way.
  at::Tensor load_rows(const std::string& name, int64_t begin, int64_t end) const;

  /// Bytes of all tensors.
  int64_t bytes() const;
  /// Hash of the weight files' content and names, for manifests. Reads every file once; kept.
  std::string hash() const;

 private:
  Checkpoint() = default;

  std::string folder_;
  Json config_;
  std::vector<Safetensors> shards_;
  std::map<std::string, size_t> shard_of_;
  mutable std::string hash_;
};

struct CheckpointOptions {
  /// Weights beyond this go into several files with an index. The limit of transformers.
  int64_t max_shard_bytes = 5'000'000'000;
  /// A checkpoint folder whose tokenizer, chat template and generation files are copied byte for
  /// byte; files that the target holds already stay. "" for none.
  std::string source_folder;
  /// Types in which tensors are written; those of others stay.
  TensorTypes types;
  /// Weights that this checkpoint stores quantised are written so too (io/quantised_weights.h), by
  /// the same name or the one that `stored_names` says. nullptr for none.
  const Checkpoint* quantised_as = nullptr;
  std::map<std::string, std::string> stored_names;
};

/// Writes config.json, the weights (with an index if they take several files) and the files of
/// `source_folder` into `folder`, which must exist: an AtomicFolder's path(), so that the
/// checkpoint appears whole or not at all. A tied weight is the caller's to leave out.
/// Throws: IoError, before anything is written if the disk has too little space.
void write_checkpoint(const std::string& folder, const Json& config, const NamedTensors& tensors,
                      const CheckpointOptions& options = {});

/// write_checkpoint into an AtomicFolder of its own, which replaces an older checkpoint at
/// `folder`.
void save_checkpoint(const std::string& folder, const Json& config, const NamedTensors& tensors,
                     const CheckpointOptions& options = {});

/// Copies the tokenizer, chat template and generation files that `from` has and `to` lacks.
void copy_companion_files(const std::string& from, const std::string& to);

}  // namespace hone::io

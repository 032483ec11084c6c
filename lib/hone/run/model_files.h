/// The model of a run in files: in its checkpoints, and as what it leaves.
#pragma once
#include <string>

#include "hone/io/run_folder.h"
#include "hone/run/base.h"
#include "hone/run/config.h"

namespace hone::run {

class ModelFiles {
 public:
  /// `grown`: whether the vocabulary grew. All but that live as long as this.
  ModelFiles(const io::RunFolder& folder, const Config& config, Base& base, bool grown)
      : folder_(folder), config_(config), base_(base), grown_(grown) {}

  std::string tokenizer_folder() const { return folder_.file("tokenizer"); }

  /// The decoder's state into a checkpoint's folder, and back (write_decoder, read_decoder).
  void write(const std::string& folder) const;
  void read(const std::string& folder) const;

  /// Writes model/ and, with tuning lora, adapter/ and its own base/; an adapter is merged into the
  /// decoder then. Over a base of integers the adapter is all that is written. Returns the types of
  /// the model's tensors, or the adapter's. Throws: IoError.
  std::string save() const;

 private:
  bool pruned() const;
  /// Whether the adapter's base is no longer the recipe's model.
  bool own_base() const { return grown_ || pruned() || base_.changed; }
  /// What an adapter names as its base, from any folder: the model, or its copy, grown or pruned.
  std::string adapter_base() const;
  /// The base's weights into the run folder's `name`; their types.
  std::string save_weights(const std::string& name) const;

  const io::RunFolder& folder_;
  const Config& config_;
  Base& base_;
  const bool grown_;
};

}  // namespace hone::run

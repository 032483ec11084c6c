/// Any folder with a model, ready to speak or to be written again.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/machine/device.h"
#include "hone/model/checkpoint.h"
#include "hone/model/decoder.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::run {

/// Which folders a model is made of.
struct ModelFolders {
  std::string model;                   ///< a checkpoint folder
  std::optional<std::string> adapter;  ///< PEFT's, over it

  /// `name` is a checkpoint folder, an adapter folder, a run's, whose model/ it then is, or, over
  /// a base of integers, its adapter/, or what the hub's cache holds under it (model_folder()). An
  /// adapter's base is `base`, of the same kinds, or the one that its adapter_config.json names: a
  /// name in the hub's cache, or a path, taken from the adapter's folder or from here if it is not
  /// absolute. Throws: IoError naming what is missing.
  static ModelFolders find(const std::string& name, const std::optional<std::string>& base = {});
};

struct OpenModel {
  model::Decoder decoder{nullptr};  ///< the adapter, if any, in place
  Json config;                      ///< config.json of the checkpoint folder
  io::TensorTypes types;            ///< of its tensors
  /// The folder, where it stores weights quantised; else null.
  std::shared_ptr<const io::Checkpoint> quantised;
};

/// Throws: IoError; Error if an adapter does not fit.
OpenModel open_model(const ModelFolders& folders, at::Device device, at::ScalarType weights,
                     const model::LoadOptions& options = {});

/// The tokenizer of the adapter's folder, which PEFT writes where tokens were added, or else the
/// model's. Throws: IoError.
text::TokenizerFolder open_tokenizer(const ModelFolders& folders);

}  // namespace hone::run

/// A pruned decoder as a folder that transformers loads, and its adapter as one that PEFT loads.
#pragma once
#include <string>
#include <utility>

#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/io/checkpoint.h"
#include "hone/model/decoder.h"

namespace hone::io {
struct AdapterFiles;
}

namespace hone::model {

enum class ExportForm {
  kDirect,     ///< config.json can say the sizes: the tensors are those of the decoder
  kZeroFilled  ///< layers differ: tensors are filled with zeros to the sizes of the widest
};

/// The form that the decoder's shape allows. A config has one number for all layers of query heads,
/// of key heads (each with an equal share of the query heads) and of channels; llama's must also
/// have a number of query heads that divides hidden_size. Layers are only ever fewer.
ExportForm export_form(const Decoder& decoder);

/// Writes the base weights, without an adapter that it may carry, and a config.json without
/// hone_pruned, so that transformers and hone load a plain model with equal logits. Layers are
/// numbered anew; tensors that only travel, which belong to the layers as they were, are left out.
/// What is zero-filled costs transformers the size and time of its widest layer; so
/// `compact_folder` then gets the decoder as it is, for hone: config.json with hone_pruned (in the
/// direct form nothing is written there). `options` say by the decoder's names of its tensors what
/// they are written as.
/// Each folder appears whole or not at all.
/// Throws: hone::Error for zero-filled heads with qk_norm and rms_norm_eps 0, which are no number
///   after the norm; IoError.
ExportForm export_pruned(const std::string& folder, const std::string& compact_folder,
                         const Decoder& decoder, const Json& config,
                         const io::CheckpointOptions& options = {});

/// The decoder's adapter, for the folder that export_pruned writes as its base `base_name`: layers
/// numbered anew, tensors zero-filled alike. adapter_files (model/adapter.h) is the one for the
/// compact form.
/// Throws: hone::Error if there is no adapter, or for DoRA on rows that are zero-filled, whose norm
///   it divides by; merge that.
io::AdapterFiles exported_adapter(const Decoder& decoder, const std::string& base_name);

}  // namespace hone::model

template <>
struct hone::EnumNames<hone::model::ExportForm> {
  static constexpr std::pair<model::ExportForm, const char*> values[] = {
      {model::ExportForm::kDirect, "direct"}, {model::ExportForm::kZeroFilled, "zero_filled"}};
};

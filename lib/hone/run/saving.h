/// How the models of a run come out.
#pragma once
#include <string>

#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/run/base.h"
#include "hone/run/save_options.h"

namespace hone::run {

/// How the base's decoder is written: with kAuto in `base.types` and quantised as `base.quantised`
/// is. What float16 cannot hold is float32, with a warning. What only travels stays as it is, but
/// for codes where no others are left.
io::CheckpointOptions save_options(const Base& base, SaveDtype dtype);

/// The type in which most numbers of the decoder are written.
at::ScalarType saved_type(const Base& base, SaveDtype dtype);

/// `files` with its tensors in the types in which they are written: with kAuto those of
/// `base.adapter_types`, where the run began with the adapter, else as they are.
io::AdapterFiles in_save_types(io::AdapterFiles files, const Base& base, SaveDtype dtype);

/// The main type of what a run of `config` writes, and why, for people: "bfloat16, as the base
/// came", "float32, as save.dtype says". Reads the headers of the model's files. Throws: IoError.
std::string describe_save(const Config& config);

/// "bfloat16", or "fp8 and bfloat16" for weights of several types, the main one first.
std::string types_text(const model::NamedTensors& tensors, const io::CheckpointOptions& options);

/// The type that `dtype` names; kAuto has none. Throws: hone::Error.
at::ScalarType scalar_type(SaveDtype dtype);

}  // namespace hone::run

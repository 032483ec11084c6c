/// In what number format the matrix products of a run on the CPU are computed.
#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/machine/device.h"
#include "hone/model/config.h"
#include "hone/run/config.h"

namespace hone::run {

constexpr const char* kComputeKey = "compute";  ///< of recipes, manifests and reports

/// What a run computes in, and why.
struct ComputeChoice {
  Compute compute = Compute::kFloat32;  ///< kAuto on a GPU alone: of the weights' type
  std::string reason;
  /// "products in bfloat16 (3.10 times as fast in bfloat16 as in float32 here)"
  std::string text() const;
  /// Bytes that rounded operands take for a moment in steps of so many tokens.
  int64_t operand_bytes(const model::DecoderConfig& model, int64_t tokens) const;
  /// Sets kernels::product_type() for what the process computes from here on.
  void apply() const;
};

/// What the recipe asks for. auto times both by CPU time, by as many threads as LibTorch is set to
/// and within some tens of milliseconds, forward and backward, on up to 256 rows by the MLP's
/// weight or a part of it of 1024 by 1024; it takes bfloat16 where that needs at most
/// kMostOfFloat32 of float32's time, and float32 unasked for products of less than 2^24 terms.
ComputeChoice choose_compute(const Config& config, const Json& base_config,
                             const machine::DevicePlan& device);
constexpr double kMostOfFloat32 = 0.8;

/// What a run that goes on was begun with, by its manifest: float32 where that is older than the
/// choice.
ComputeChoice resumed_compute(const Json& manifest, const machine::DevicePlan& device);

/// Gives the configuration of an older run, without the key, what it computed in: float32; or auto
/// where `now` says so, since resumed_compute() knows.
void complete_compute(Json& then, const Json& now);

}  // namespace hone::run

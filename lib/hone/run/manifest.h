/// What makes a run repeatable.
#pragma once
#include <cstdint>
#include <string>

#include "hone/core/json.h"
#include "hone/machine/device.h"
#include "hone/run/config.h"

namespace hone::run {

constexpr const char* kManifestFile = "manifest.json";  ///< in a run folder
constexpr const char* kLengthened = "lengthened";       ///< key of it, see resumption.h

/// Versions, seed, threads, device, `compute`, hardware, and the hashes handed in: `weights` of the
/// base ("" when it starts from an architecture), `data` as Data::json() gives it.
Json make_manifest(const std::string& app, uint64_t seed, const machine::DevicePlan& device,
                   Compute compute, const std::string& weights, const Json& data);

}  // namespace hone::run

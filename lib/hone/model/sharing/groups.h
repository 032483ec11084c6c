/// Which layers of a decoder use one q_proj and k_proj: its form in config.json.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/core/names.h"

namespace hone::model {

struct DecoderConfig;

/// Groups of two layers or more, by their numbers, which ascend; no layer is in two.
using LayerGroups = std::vector<std::vector<int64_t>>;

/// What the shared pair is made of the layers' own.
enum class SharedStart {
  kAligned,  ///< the pair nearest the mean of their products (model/sharing/gauge.h)
  kMean      ///< the mean of their weights
};

/// What is wrong with groups of a model of `layers` layers, as "<group>[/<place>]: <message>".
std::vector<std::string> group_problems(const LayerGroups& groups, int64_t layers);

/// The value of config.json's key hone_sharing: {"what": "weights", "layers": [[4, 5], [6, 7]]}, or
/// null for no groups. What those layers share is stored under the names of each, so that programs
/// that do not know the key compute the same.
Json sharing_json(const LayerGroups& groups);

/// Reads such a value for a model whose other sizes `config` has. No groups for null.
/// Throws: IoError, as of `source`, naming each key that is missing, unknown, mistyped or out of
///   range, and for a model that is pruned.
LayerGroups sharing_from_json(const Json& json, const DecoderConfig& config,
                              const std::string& source);

}  // namespace hone::model

template <>
struct hone::EnumNames<hone::model::SharedStart> {
  static constexpr std::pair<model::SharedStart, const char*> values[] = {
      {model::SharedStart::kAligned, "aligned"}, {model::SharedStart::kMean, "mean"}};
};

/// How quantised checkpoints store weights: as codes, with a scale for each block of them.
/// Needs no LibTorch; io/quantised_tensors.h makes tensors of it.
///
///   weight[i, j] = value(codes[i, j]) * scales[i / rows, j / columns]
///
/// FP8 (DeepSeek-V3, Qwen3): e4m3 codes [out, in] (bias 7, largest 448, no infinities, NaN 0x7F and
/// 0xFF) in blocks of 128 x 128, of which the last may be cut short: [576, 7168] has [5, 56]
/// scales. FP4 (DeepSeek-V4's experts): e2m1 codes, two in a byte of [out, in / 2], the first in
/// its low half, in blocks of one row and 32 columns. Scales are float32, bfloat16 (Qwen3's
/// releases: github.com/modular/modular/issues/7142) or ue8m0, the power of two 2^(byte - 127),
/// 0xFF being NaN.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/safetensors.h"

namespace hone::io {

/// What config.json says of its quantised weights.
struct Quantisation {
  int64_t block_rows = 128, block_columns = 128;
  bool powers_of_two = false;  ///< scale_fmt "ue8m0": scales are, whatever type holds them
  bool fp4_experts = false;    ///< expert_dtype "fp4": tensors of bytes are FP4
};

/// Reads quantization_config, and expert_dtype in it or beside it; nullopt if there is none. What
/// is not supported (quant_method other than "fp8", fmt other than "e4m3", keys that are not known)
/// and what is malformed is added to `problems`, each with its path.
std::optional<Quantisation> read_quantisation(const Json& config,
                                              std::vector<std::string>& problems);
/// Whether there is one. Integers that compressed-tensors wrote are another matter: layers hold
/// them as they are (model/quantised_layers.h).
bool is_quantised(const Json& config);
/// `config` without what told of quantised weights, for weights that are written as numbers.
Json without_quantisation(Json config);

/// How one weight is stored.
struct BlockFormat {
  bool fp4 = false;
  int64_t rows = 128, columns = 128;  ///< of a block
  bool powers_of_two = false;

  /// The largest value of a code.
  float largest() const { return fp4 ? 6 : 448; }
  /// Numbers in a byte.
  int64_t packed() const { return fp4 ? 2 : 1; }
};

/// The format of a tensor that holds codes; nullopt if it is none: F8_E4M3, or X.weight of bytes
/// where experts are FP4.
std::optional<BlockFormat> block_format(const TensorInfo& info, const Quantisation& quantisation);

/// Names that the scales of `weight` ("X.weight") may have: "X.weight_scale_inv", which multiplies
/// all the same, and V4's "X.scale".
std::array<std::string, 2> scale_names(const std::string& weight);

/// The first of them that there is; "" if there is none.
std::string scale_name(const std::string& weight,
                       const std::function<bool(const std::string& name)>& has);

/// [out, in] of the weight whose codes are `codes` [out, in or in / 2].
std::vector<int64_t> weight_shape(const std::vector<int64_t>& codes, const BlockFormat& format);
/// Of its scales.
std::vector<int64_t> scale_shape(const std::vector<int64_t>& weight, const BlockFormat& format);

/// Why codes and scales are not such a pair, for people; nullopt if they are. `scales`: nullptr if
/// the file has none.
std::optional<std::string> quantised_problem(const TensorInfo& codes, const TensorInfo* scales,
                                             const BlockFormat& format);

/// Rows [first_row, first_row + rows) of a weight with `columns` columns. `codes` are theirs,
/// `scales` those of the whole weight, row-major; `out` has rows * columns numbers.
void decode_rows(const BlockFormat& format, const uint8_t* codes, const float* scales,
                 int64_t first_row, int64_t rows, int64_t columns, float* out);

}  // namespace hone::io

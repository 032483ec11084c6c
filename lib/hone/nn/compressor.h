/// Entries that stand for stretches of the past (DeepSeek-V4's compressed attention).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/pimpl.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hone/nn/branch.h"
#include "hone/nn/linear.h"
#include "hone/nn/norm.h"
#include "hone/nn/rotary.h"

namespace hone::nn {

struct CompressorOptions {
  int64_t dim = 0;       ///< D, of the residual stream
  int64_t width = 0;     ///< E, of an entry; its last numbers are rotated
  int64_t ratio = 0;     ///< R, positions to an entry
  bool overlap = false;  ///< an entry is also made of the positions of the one before
  double norm_eps = 1e-6;

  /// c E: numbers that a position gives.
  int64_t given() const { return overlap ? 2 * width : width; }
};

/// What makes entries of kv and gate, [T, c E] each: entry i of a document is
///   rot(norm(sum_r softmax_r(gate_r + position_bias_r) kv_r)),
/// channel by channel, r over the R positions from i R; with overlap over them by the second half
/// of what they give, and over the R before them by the first half, where there are any. It is
/// rotated by position i R. Positions that do not fill R give no entry yet. Softmax in float32.
struct Compression {
  CompressorOptions options;
  at::Tensor position_bias;  ///< [R, c E]
  at::Tensor norm;           ///< [E]

  /// Of each document of the pass all entries [C, E], those included that a cache holds. A cache
  /// keeps all that comes, in its tensors `first` and `first + 1`, which are of cache_shape().
  std::vector<at::Tensor> entries(const at::Tensor& kv, const at::Tensor& gate,
                                  const Rotary& rotary, const AttentionContext& context,
                                  size_t first) const;
  /// {{1, ceil(E / R)}, {2, c E}}: entries, each laid over its R positions; kv and gate.
  static CacheShape cache_shape(const CompressorOptions& options);
};

/// Compression of x [T, D] by kv = kv_proj(x), gate = gate_proj(x) and tensors that train.
/// Source: DeepSeek-V4, sections 2.3.1 (overlap) and 2.3.2. Parity: transformers'
///   DeepseekV4CSACompressor and DeepseekV4HCACompressor, whose names these are.
class CompressorImpl : public torch::nn::Module, public TellsTensors {
 public:
  CompressorImpl(const CompressorOptions& options, const at::TensorOptions& tensor_options);

  std::vector<at::Tensor> forward(const at::Tensor& x, const Rotary& rotary,
                                  const AttentionContext& context, size_t first);

  std::vector<ModuleTensor> own_tensors() const override;

  CompressorOptions options;
  Linear kv_proj{nullptr}, gate_proj{nullptr};
  at::Tensor position_bias;  ///< [R, c E], begins at 0
  RmsNorm kv_norm{nullptr};
};
TORCH_MODULE(Compressor);

/// A document's part of a pass.
struct PassDocument {
  int64_t begin = 0, end = 0;  ///< of the pass's T positions
  int64_t past = 0;            ///< positions that the cache holds of it
  int64_t row = 0;             ///< of the cache

  int64_t positions() const { return past + end - begin; }
};
std::vector<PassDocument> pass_documents(const AttentionContext& context);

}  // namespace hone::nn

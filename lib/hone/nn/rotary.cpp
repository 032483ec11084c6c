#include "hone/nn/rotary.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace hone::nn {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

/// theta^(2i/E) for i < E/2, rounded as transformers rounds it.
at::Tensor wave_factors(const at::Scalar& theta, int64_t head_dim) {
  return at::pow(theta, at::arange(0, head_dim, 2, at::kFloat) / head_dim);
}

at::Tensor llama3(const at::Tensor& frequencies, const RotaryOptions& o) {
  const double original = static_cast<double>(o.original_positions);
  const double longest = original / o.low_freq_factor, shortest = original / o.high_freq_factor;
  const at::Tensor wavelengths = kTwoPi / frequencies;
  const at::Tensor scaled = at::where(wavelengths > longest, frequencies / o.factor, frequencies);
  const at::Tensor smooth =
      (original / wavelengths - o.low_freq_factor) / (o.high_freq_factor - o.low_freq_factor);
  const at::Tensor blended = (1 - smooth) * scaled / o.factor + smooth * scaled;
  const at::Tensor between = (wavelengths >= shortest).logical_and(wavelengths <= longest);
  return at::where(between, blended, scaled);
}

at::Tensor yarn(const RotaryOptions& o) {
  const double dim = static_cast<double>(o.head_dim);
  // The (fractional) pair that turns `rotations` times within the original length.
  const auto pair_of = [&](double rotations) {
    return dim * std::log(o.original_positions / (rotations * kTwoPi)) / (2 * std::log(o.theta));
  };
  double low = pair_of(o.beta_fast), high = pair_of(o.beta_slow);
  if (o.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const at::Tensor ramp =
      ((at::arange(o.head_dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor waves = wave_factors(o.theta, o.head_dim);
  const at::Tensor kept = 1 - ramp;
  return 1.0 / (o.factor * waves) * (1 - kept) + 1.0 / waves * kept;
}

double yarn_scale(double factor, double weight) {
  return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

double yarn_attention_scale(const RotaryOptions& o) {
  double scale = yarn_scale(o.factor, 1);
  if (o.attention_factor) {
    scale = *o.attention_factor;
  } else if (o.mscale.value_or(0) != 0 && o.mscale_all_dim.value_or(0) != 0) {
    scale = yarn_scale(o.factor, *o.mscale) / yarn_scale(o.factor, *o.mscale_all_dim);
  }
  const bool multiplies = o.attn_factor_rule == AttnFactorRule::kMultiplies;
  return multiplies ? scale * o.attn_factor.value_or(1) : scale;
}

}  // namespace

double yarn_softmax_factor(const RotaryOptions& options) {
  if (options.type != RopeType::kYarn) return 1;
  const double scale = yarn_scale(options.factor, options.mscale_all_dim.value_or(0));
  return scale * scale;
}

Rotary::Rotary(const RotaryOptions& options) : options(options) {
  TORCH_CHECK_VALUE(options.head_dim >= 2 && options.head_dim % 2 == 0,
                    "Rotary: head_dim must be even and positive, got ", options.head_dim);
  if (options.type == RopeType::kYarn) attention_scale_ = yarn_attention_scale(options);
  frequencies_ = frequencies(0);
}

at::Tensor Rotary::frequencies(int64_t length) const {
  const RotaryOptions& o = options;
  switch (o.type) {
    case RopeType::kDefault:
      return 1.0 / wave_factors(o.theta, o.head_dim);
    case RopeType::kLinear:
      return 1.0 / wave_factors(o.theta, o.head_dim) / o.factor;
    case RopeType::kLlama3:
      return llama3(1.0 / wave_factors(o.theta, o.head_dim), o);
    case RopeType::kYarn:
      return yarn(o);
    case RopeType::kDynamic: {
      if (length <= o.max_positions) return 1.0 / wave_factors(o.theta, o.head_dim);
      // In float32, as transformers has the length as a tensor here.
      const at::Tensor stretch =
          at::scalar_tensor(length, at::kLong) * o.factor / o.max_positions - (o.factor - 1);
      const double power = static_cast<double>(o.head_dim) / (o.head_dim - 2.0);
      return 1.0 / wave_factors((stretch.pow(power) * o.theta).item(), o.head_dim);
    }
  }
  TORCH_CHECK_VALUE(false, "Rotary: unknown type");
}

at::Tensor Rotary::angles(const at::Tensor& positions, const kernels::Sequences& segments) const {
  const at::Tensor points = positions.to(at::kFloat).unsqueeze(1);
  if (options.type == RopeType::kDynamic && segments.max_length > 0) {
    std::vector<int64_t> ends(segments.offsets.begin() + 1, segments.offsets.end());
    for (int64_t& end : ends) --end;
    const at::Tensor last =
        positions.index_select(0, torch::tensor(ends).to(positions.device())).cpu();
    if (last.max().item<int64_t>() >= options.max_positions) {
      std::vector<at::Tensor> parts;
      for (int64_t d = 0; d < segments.documents(); ++d) {
        const at::Tensor own = frequencies(last[d].item<int64_t>() + 1).to(positions.device());
        parts.push_back(points.slice(0, segments.offsets[d], segments.offsets[d + 1]) * own);
      }
      return at::cat(parts);
    }
  }
  return points * frequencies_.to(positions.device());
}

std::pair<at::Tensor, at::Tensor> Rotary::tables(const at::Tensor& positions,
                                                 const kernels::Sequences& segments,
                                                 at::ScalarType dtype) const {
  const at::NoGradGuard no_grad;
  const at::Tensor half = angles(positions, segments);
  const at::Tensor whole = at::cat({half, half}, 1);
  return {(whole.cos() * attention_scale_).to(dtype), (whole.sin() * attention_scale_).to(dtype)};
}

}  // namespace hone::nn

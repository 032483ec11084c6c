#include "hone/model/sharing/gauge.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "hone/nn/assignment.h"

namespace hone::model {
namespace {

// Legend: H query heads, K key heads, R = H / K, E head dim, F = E / 2 frequencies, D inputs.

/// [N, E, D] -> [N, F, D] complex.
at::Tensor complex_rows(const at::Tensor& rows) {
  const auto halves = rows.chunk(2, 1);
  return at::complex(halves[0].contiguous(), halves[1].contiguous());
}

at::Tensor real_rows(const at::Tensor& rows) {
  return at::cat({at::real(rows), at::imag(rows)}, 1).contiguous();
}

/// [H, F, D] -> [K, F, R D]: the query heads of a key head as one vector.
at::Tensor stacked(const at::Tensor& q_hfd, int64_t kv_heads) {
  return q_hfd.unflatten(0, {kv_heads, -1}).transpose(1, 2).flatten(2);
}

at::Tensor unstacked(const at::Tensor& q_kfd, int64_t inputs) {
  return q_kfd.unflatten(2, {-1, inputs}).transpose(1, 2).flatten(0, 1);
}

/// [H, K2 R] and so on: <a, b> = sum_f Re of the product's inner product, all heads against all.
at::Tensor inner_products(const HeadRows& a, const HeadRows& b) {
  const int64_t kv_heads = a.k.size(0);
  const auto conjugate = [](const at::Tensor& rows) { return at::conj(complex_rows(rows)); };
  const at::Tensor q = at::einsum("hfd,gfd->hgf", {conjugate(a.q), complex_rows(b.q)})
                           .unflatten(1, {kv_heads, -1})
                           .unflatten(0, {kv_heads, -1});  // [K, R, K, R, F]
  const at::Tensor k = at::einsum("hfd,gfd->hgf", {conjugate(a.k), complex_rows(b.k)});
  return at::real(q * at::conj(k).unsqueeze(1).unsqueeze(3)).sum(-1).transpose(1, 2).contiguous();
}

double squared_norm(const HeadRows& rows) {
  const at::Tensor q = complex_rows(rows.q).abs().square().sum(-1);  // [H, F]
  const at::Tensor k = complex_rows(rows.k).abs().square().sum(-1);  // [K, F]
  return (q.unflatten(0, {k.size(0), -1}) * k.unsqueeze(1)).sum().item<double>();
}

at::Tensor index_of(const std::vector<int64_t>& places) { return torch::tensor(places, at::kLong); }

}  // namespace

HeadMatch match_heads(const HeadRows& reference, const HeadRows& layer) {
  const at::Tensor gains = inner_products(reference, layer);  // [K, K, R, R]
  const int64_t kv_heads = gains.size(0), group = gains.size(2);
  std::vector<std::vector<int64_t>> inside(kv_heads * kv_heads);
  at::Tensor total = at::zeros({kv_heads, kv_heads}, at::kDouble);
  for (int64_t x = 0; x < kv_heads; ++x) {
    for (int64_t y = 0; y < kv_heads; ++y) {
      auto& best = inside[x * kv_heads + y] = nn::assigned(gains[x][y].contiguous());
      total[x][y] = gains[x][y].gather(1, index_of(best).unsqueeze(1)).sum();
    }
  }
  HeadMatch match{.q = {}, .k = nn::assigned(total)};
  for (int64_t x = 0; x < kv_heads; ++x) {
    for (const int64_t place : inside[x * kv_heads + match.k[x]]) {
      match.q.push_back(match.k[x] * group + place);
    }
  }
  return match;
}

HeadRows reordered(const HeadRows& rows, const HeadMatch& match) {
  return {rows.q.index_select(0, index_of(match.q)), rows.k.index_select(0, index_of(match.k))};
}

HeadRows shared_rows(const std::vector<HeadRows>& layers) {
  const int64_t kv_heads = layers[0].k.size(0), inputs = layers[0].k.size(2);
  std::vector<at::Tensor> queries, keys;  // [K, F, R D], [K, F, D]
  for (const HeadRows& layer : layers) {
    queries.push_back(stacked(complex_rows(layer.q), kv_heads));
    keys.push_back(complex_rows(layer.k));
  }
  const at::Tensor q = at::stack(queries, -1), k = at::stack(keys, -1);
  // The mean of q k^H is Q_q (R_q R_k^H / layers) Q_k^H.
  const auto [basis_q, core_q] = at::linalg_qr(q);
  const auto [basis_k, core_k] = at::linalg_qr(k);
  const auto [left, values, right] =
      at::linalg_svd(at::matmul(core_q, core_k.mH()) / static_cast<double>(layers.size()), false);
  const auto norm = [](const at::Tensor& rows) { return rows.abs().square().sum({-2, -1}).sqrt(); };
  const at::Tensor size = values.narrow(-1, 0, 1).sqrt();
  const at::Tensor ratio =
      (norm(q) / norm(k).clamp_min(1e-300)).clamp(1e-6, 1e6).sqrt().unsqueeze(-1);
  const at::Tensor best_q = at::matmul(basis_q, left.narrow(-1, 0, 1)).squeeze(-1) * (size * ratio);
  const at::Tensor best_k =
      at::matmul(basis_k, right.mH().narrow(-1, 0, 1)).squeeze(-1) * (size / ratio);
  return {real_rows(unstacked(best_q, inputs)), real_rows(best_k)};
}

HeadRows shared_normed_rows(const std::vector<HeadRows>& layers,
                            const std::vector<HeadNorms>& norms) {
  // A head's size is the norm's to set: each comes in at unit size, and leaves at the mean one.
  const auto size = [](const at::Tensor& rows) { return rows.norm(2, {1, 2}, true); };
  const int64_t kv_heads = layers[0].k.size(0), inputs = layers[0].k.size(2);
  std::vector<HeadRows> turned, sizes;
  at::Tensor first_q, first_k;
  for (size_t l = 0; l < layers.size(); ++l) {
    sizes.push_back({size(layers[l].q), size(layers[l].k)});
    const auto unit = [](const at::Tensor& rows, const at::Tensor& by) {
      return complex_rows(rows / by.clamp_min(1e-300));
    };
    at::Tensor q = stacked(unit(layers[l].q, sizes[l].q), kv_heads);
    at::Tensor k = unit(layers[l].k, sizes[l].k);
    if (l == 0) {
      first_q = q;
      first_k = k;
    }
    const auto alike = [](const at::Tensor& weight) {
      const auto halves = weight.chunk(2);
      return at::isclose(halves[0], halves[1], 1e-5, 0);
    };
    const at::Tensor w = (at::conj(q) * first_q).sum(-1) + (at::conj(k) * first_k).sum(-1);
    const at::Tensor sign = at::where(at::real(w) < 0, -1.0, 1.0).to(w.scalar_type());
    const at::Tensor phase = at::where(w.abs() > 0, w / w.abs(), sign);
    const at::Tensor free = at::logical_and(alike(norms[l].q), alike(norms[l].k));  // [F]
    const at::Tensor turn = at::where(free, phase, sign).unsqueeze(-1);
    turned.push_back({real_rows(unstacked(q * turn, inputs)), real_rows(k * turn)});
  }
  HeadRows mean = mean_rows(turned), scale = mean_rows(sizes);
  const auto rescaled = [&](const at::Tensor& rows, const at::Tensor& by) {
    return rows * (by / size(rows).clamp_min(1e-300));
  };
  return {rescaled(mean.q, scale.q), rescaled(mean.k, scale.k)};
}

HeadRows mean_rows(const std::vector<HeadRows>& layers) {
  std::vector<at::Tensor> queries, keys;
  for (const HeadRows& layer : layers) {
    queries.push_back(layer.q);
    keys.push_back(layer.k);
  }
  return {at::stack(queries).mean(0), at::stack(keys).mean(0)};
}

double product_error(const HeadRows& a, const HeadRows& b) {
  const double of_a = squared_norm(a), of_b = squared_norm(b);
  const at::Tensor inner = inner_products(a, b);  // [K, K, R, R]
  const double both = inner.diagonal(0, 0, 1).diagonal(0, 0, 1).sum().item<double>();
  return std::sqrt(std::max(0.0, of_a + of_b - 2 * both) / of_a);
}

}  // namespace hone::model

/// The loops of mixed_experts.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// out[tokens[r]] += weights[places[r]] * y[r] over rows r of `width` numbers; no token comes
/// twice. Without weights: by 1.
template <class T>
struct AddExpertRows {
  int64_t width;
  const int64_t *tokens, *places;
  const T *weights, *y;
  T *out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// out[t] = sum over k of weights[t K + k] * y[from[t K + k]] over tokens t of `width` numbers.
/// Without weights: by 1.
template <class T>
struct CombineExpertRows {
  int64_t width, each;  ///< each: K
  const int64_t *from;
  const T *weights, *y;
  T *out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// From d(silu(g) u) to d(g), d(u) of rows of one expert, whose output row r has weight
/// w = weights[places[r]], and what its weight's gradient and down's need (g and u clamped by
/// `limit` as in cpu/rows.h):
///   grad_weights[places[r]] = sum grad[r] a,  a = silu(g) u;
///   scaled[r] = w a;  grad_hidden[r] = (w grad u s (1 + g (1 - s)), w grad g s),  s = sigmoid(g).
/// hidden and grad_hidden hold a row's `width` numbers of g before those of u.
template <class T>
struct ExpertsBackward {
  int64_t width;
  T limit;
  const int64_t *places;
  const T *weights, *hidden, *grad;
  T *grad_weights, *scaled, *grad_hidden;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels

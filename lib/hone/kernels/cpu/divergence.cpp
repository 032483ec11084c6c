#include "hone/kernels/cpu/divergence.h"

#include "hone/kernels/cpu/rows.h"

// p, q, m: teacher, student, mixture; ln_ their logarithms.
namespace hone::kernels {
namespace {

/// ln softmax(x * by) of a row: x[i] * by - shift.
template <class T>
T shift_of(int64_t width, const T* x, T by) {
  const T largest = largest_of_row(width, x);
  const T sum = sum_row<T>(width, [&](int64_t i) { return exponential((x[i] - largest) * by); });
  return largest * by + logarithm(sum);
}

}  // namespace

template <class T>
template <machine::Isa>
void DivergenceRows<T>::rows(int64_t begin, int64_t end) const {
  const T by = inverse_temperature;
  const T ln_beta = logarithm(beta), ln_rest = logarithm(1 - beta);
  for (int64_t row = begin; row < end; ++row) {
    const T* s = student + row * student_step;
    T* t = teacher + row * width;
    const T s_shift = shift_of(width, s, by), t_shift = shift_of(width, t, by);
    const T factor = factors ? factors[row] * scale * by : T(0);
    const auto ln_q = [&](int64_t i) { return s[i] * by - s_shift; };
    const auto ln_p = [&](int64_t i) { return t[i] * by - t_shift; };
    if (kind == 0) {
      result[row] = scale * sum_row<T>(width, [&](int64_t i) {
                      return exponential(ln_p(i)) * (ln_p(i) - ln_q(i));
                    });
      if (!factors) continue;
      for (int64_t i = 0; i < width; ++i) {
        t[i] = factor * (exponential(ln_q(i)) - exponential(ln_p(i)));
      }
    } else if (kind == 1) {
      const T kl =
          sum_row<T>(width, [&](int64_t i) { return exponential(ln_q(i)) * (ln_q(i) - ln_p(i)); });
      result[row] = scale * kl;
      if (!factors) continue;
      for (int64_t i = 0; i < width; ++i) {
        t[i] = factor * exponential(ln_q(i)) * (ln_q(i) - ln_p(i) - kl);
      }
    } else {
      const auto ln_m = [&](int64_t i) {
        const T a = ln_p(i) + ln_beta, b = ln_q(i) + ln_rest;
        const T larger = a > b ? a : b, smaller = a > b ? b : a;
        return larger + log_1p(exponential(smaller - larger));
      };
      const T of_p =
          sum_row<T>(width, [&](int64_t i) { return exponential(ln_p(i)) * (ln_p(i) - ln_m(i)); });
      const T of_q =
          sum_row<T>(width, [&](int64_t i) { return exponential(ln_q(i)) * (ln_q(i) - ln_m(i)); });
      result[row] = scale * (beta * of_p + (1 - beta) * of_q);
      if (!factors) continue;
      for (int64_t i = 0; i < width; ++i) {
        t[i] = factor * (1 - beta) * exponential(ln_q(i)) * (ln_q(i) - ln_m(i) - of_q);
      }
    }
  }
}

HONE_LOOPS(DivergenceRows);

}  // namespace hone::kernels

/// The loops of divergence, over rows of logits.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

template <class T>
struct DivergenceRows {
  int64_t width;         ///< V, of a teacher's row
  int64_t student_step;  ///< V', of a student's
  int kind;              ///< of enum Divergence
  T beta, inverse_temperature;
  T scale;           ///< of the result
  const T* factors;  ///< null for no gradient
  const T* student;
  T *teacher, *result;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels

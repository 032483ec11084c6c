/// How a fused operation finds its code.
///
/// An operation is a door, `<op>.h` and `<op>.cpp` (checks, autograd, dispatch), and loops over raw
/// numbers, `cpu/<op>.cpp`, compiled once per instruction set; `cuda/<op>.cu` where there is one.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "hone/machine/isa.h"
#include "hone/machine/parallel.h"

namespace hone::kernels {

/// float64 for float64, float32 for all else: the format of statistics and losses.
inline at::ScalarType wide_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// The numbers of a tensor, for reading. (at::Tensor's own const_data_ptr<T>() cannot be linked:
/// clang 19 mangles its template arguments otherwise than the GCC that built LibTorch.)
template <class T>
const T* read(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}

/// Rows a thread should get at least, so that starting it is worth while.
inline int64_t row_grain(int64_t width) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width));
}

/// The operation on these tensors: `loops()` where all are on the CPU and of one type, float32 or
/// float64; else `composite()`, which is ATen's operations.
template <class Loops, class Composite>
auto dispatch(std::initializer_list<at::Tensor> tensors, Loops loops, Composite composite) {
  const at::ScalarType type = tensors.begin()->scalar_type();
  const bool ours = (type == at::kFloat || type == at::kDouble) &&
                    std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor& x) {
                      return x.is_cpu() && x.scalar_type() == type;
                    });
  return ours ? loops() : composite();
}

/// Runs `loops`, of cpu/, over [0, rows) in LibTorch's threads, by this machine's instructions.
/// The results are the same to the bit by either instruction set (tests/kernels/isa_test.cpp).
template <class Loops>
void run_rows(const Loops& loops, int64_t rows, int64_t grain) {
  machine::parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    if (machine::isa() == machine::Isa::kV4) {
      loops.template rows<machine::Isa::kV4>(begin, end);
    } else {
      loops.template rows<machine::Isa::kV3>(begin, end);
    }
  });
}

}  // namespace hone::kernels

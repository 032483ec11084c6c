#include "hone/kernels/cpu/product.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {
namespace {

uint32_t rounded(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return x == x ? nearest : 0x7fc0;
}

uint32_t pair(float first, float second) { return rounded(first) | rounded(second) << 16; }

/// A block of whole lines and terms: the pair of line r and terms 2k, 2k + 1 goes to
/// to[r * line_step + k * pair_step].
template <bool kLinesAdjoin>
void pack_block(const float* from, int64_t stride, int64_t pairs, uint32_t* __restrict to,
                int64_t line_step, int64_t pair_step) {
  constexpr int64_t kLines = 16;  // at a time: more would fall out of the L1 cache
  for (int64_t first = 0; first < kPanel; first += kLines) {
    for (int64_t k = 0; k < pairs; ++k) {
      for (int64_t r = first; r < first + kLines; ++r) {
        const float* term = kLinesAdjoin ? from + 2 * k * stride + r : from + r * stride + 2 * k;
        to[r * line_step + k * pair_step] = pair(term[0], term[kLinesAdjoin ? stride : 1]);
      }
    }
  }
}

/// The same where `from` already has the order [line][term].
void pack_lines(const float* from, int64_t stride, int64_t pairs, uint32_t* __restrict to) {
  for (int64_t r = 0; r < kPanel; ++r) {
    for (int64_t k = 0; k < pairs; ++k) {
      to[r * pairs + k] = pair(from[r * stride + 2 * k], from[r * stride + 2 * k + 1]);
    }
  }
}

/// The same of a block at the operand's ends.
void pack_edge(const PackPanels& p, int64_t line, int64_t term, int64_t pairs, uint32_t* to,
               int64_t line_step, int64_t pair_step) {
  const auto at = [&](int64_t l, int64_t t) {
    return l < p.lines && t < p.depth ? p.from[l * p.line_stride + t * p.depth_stride] : 0.0f;
  };
  for (int64_t k = 0; k < pairs; ++k) {
    for (int64_t r = 0; r < kPanel; ++r) {
      to[r * line_step + k * pair_step] =
          pair(at(line + r, term + 2 * k), at(line + r, term + 2 * k + 1));
    }
  }
}

}  // namespace

template <class T>
template <machine::Isa>
void ProductOfOneRow<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t o = begin; o < end; ++o) out[o] = dot(x, weight + o * width, width);
}

template <machine::Isa>
void PackPanels::rows(int64_t begin, int64_t end) const {
  const int64_t padded = padded_depth(depth);
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t line = panel * kPanel;
    for (int64_t term = 0; term < padded; term += kDepth) {
      const int64_t terms = padded - term < kDepth ? padded - term : kDepth, pairs = terms / 2;
      uint32_t* block = to + (line * padded + kPanel * term) / 2;
      const int64_t line_step = interleaved ? 1 : pairs, pair_step = interleaved ? kPanel : 1;
      const float* first = from + line * line_stride + term * depth_stride;
      if (line + kPanel > lines || term + terms > depth) {
        pack_edge(*this, line, term, pairs, block, line_step, pair_step);
      } else if (line_stride == 1) {
        pack_block<true>(first, depth_stride, pairs, block, line_step, pair_step);
      } else if (interleaved) {
        pack_block<false>(first, line_stride, pairs, block, line_step, pair_step);
      } else {
        pack_lines(first, line_stride, pairs, block);
      }
    }
  }
}

HONE_LOOPS(ProductOfOneRow);
template void PackPanels::rows<machine::Isa::HONE_ISA>(int64_t, int64_t) const;

}  // namespace hone::kernels

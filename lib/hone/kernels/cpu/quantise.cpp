#include "hone/kernels/cpu/quantise.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {
namespace {

constexpr uint32_t kInfinity = 0x7f800000;  // as are the bits of all that is not finite, or more

uint32_t magnitude_bits(float x) { return __builtin_bit_cast(uint32_t, x) & 0x7fffffff; }

/// Numbers of one word, 8 of 4 bits or 4 of 8.
template <int kBits>
float code_of(uint32_t word, int64_t i) {
  constexpr uint32_t kMask = (1u << kBits) - 1;
  return static_cast<float>(static_cast<int32_t>((word >> (kBits * i)) & kMask) -
                            (1 << (kBits - 1)));
}

template <int kBits>
void dequantise_words(const DequantiseRows& d, int64_t row, float* __restrict out) {
  constexpr int64_t kEach = 32 / kBits;
  const int64_t words = (d.width + kEach - 1) / kEach, groups = d.width / d.group;
  const uint32_t* word = d.words + row * words;
  const float* scales = d.scales + row * groups;
  int64_t whole = d.group % kEach == 0 ? d.width / kEach : 0;
  for (int64_t w = 0; w < whole; ++w) {
    const float scale = scales[w * kEach / d.group];
    for (int64_t i = 0; i < kEach; ++i) out[w * kEach + i] = code_of<kBits>(word[w], i) * scale;
  }
  for (int64_t k = whole * kEach; k < d.width; ++k) {
    out[k] = code_of<kBits>(word[k / kEach], k % kEach) * scales[k / d.group];
  }
}

void dequantise_row(const DequantiseRows& d, int64_t row, float* __restrict out) {
  if (d.words != nullptr) {
    return d.bits == 4 ? dequantise_words<4>(d, row, out) : dequantise_words<8>(d, row, out);
  }
  const int8_t* codes = d.codes + row * d.width;
  const float* scales = d.scales + row * (d.width / d.group);
  for (int64_t first = 0; first < d.width; first += d.group) {
    const float scale = scales[first / d.group];
    for (int64_t k = first; k < first + d.group; ++k) out[k] = static_cast<float>(codes[k]) * scale;
  }
}

// Registers of kWordsTogether lanes, two of AVX2's: compilers make slower code of plain loops.
using Words = uint32_t __attribute__((vector_size(4 * kWordsTogether)));
using Integers = int32_t __attribute__((vector_size(4 * kWordsTogether)));
using Floats = float __attribute__((vector_size(4 * kWordsTogether)));

/// x . codes of kBits over `blocks` blocks of kWordsTogether words, x permuted.
template <int kBits>
float dot_words(const float* x, const uint32_t* words, int64_t blocks) {
  Floats lanes[2] = {};
  for (int64_t block = 0; block < blocks; ++block, words += kWordsTogether) {
    Words word;
    __builtin_memcpy(&word, words, sizeof word);
    for (int i = 0; i < 32 / kBits; ++i, x += kWordsTogether) {
      Floats numbers;
      __builtin_memcpy(&numbers, x, sizeof numbers);
      const Integers codes =
          reinterpret_cast<Integers>((word >> (kBits * i)) & ((1u << kBits) - 1)) -
          (1 << (kBits - 1));
      lanes[i % 2] += numbers * __builtin_convertvector(codes, Floats);
    }
  }
  const Floats both = lanes[0] + lanes[1];
  return sum_row<float>(kWordsTogether, [&](int64_t w) { return both[w]; });
}

template <int kBits>
float dot_row_of_words(const RowByQuantised& r, int64_t row) {
  constexpr int64_t kEach = 32 / kBits, kBlock = kEach * kWordsTogether;
  const DequantiseRows& d = r.weight;
  const uint32_t* words = d.words + row * ((d.width + kEach - 1) / kEach);
  const float* scales = d.scales + row * (d.width / d.group);
  float total = 0;
  // Groups of whole blocks, or one group that may have a rest.
  const int64_t whole = d.group % kBlock == 0 || d.group == d.width ? d.group / kBlock : 0;
  for (int64_t first = 0; first < d.width; first += d.group) {
    float sum = dot_words<kBits>(r.permuted + first, words + first / kEach, whole);
    for (int64_t k = first + whole * kBlock; k < first + d.group; ++k) {
      sum += r.x[k] * code_of<kBits>(words[k / kEach], k % kEach);
    }
    total += scales[first / d.group] * sum;
  }
  return total;
}

float dot_row(const RowByQuantised& r, int64_t row) {
  const DequantiseRows& d = r.weight;
  if (d.words != nullptr) {
    return d.bits == 4 ? dot_row_of_words<4>(r, row) : dot_row_of_words<8>(r, row);
  }
  const int8_t* codes = d.codes + row * d.width;
  const float* scales = d.scales + row * (d.width / d.group);
  float total = 0;
  for (int64_t first = 0; first < d.width; first += d.group) {
    total += scales[first / d.group] * sum_row<float>(d.group, [&](int64_t k) {
               return r.x[first + k] * static_cast<float>(codes[first + k]);
             });
  }
  return total;
}

}  // namespace

template <machine::Isa>
void QuantiseRows::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    const float* x = from + row * width;
    int8_t* __restrict q = codes + row * width;
    const uint32_t bits = reduce_row<uint32_t>(
        width, 0, [&](int64_t i) { return magnitude_bits(x[i]); },
        [](uint32_t a, uint32_t b) { return a > b ? a : b; });
    float scale = __builtin_bit_cast(float, bits) / divisor;
    if (scale == 0) scale = 1;
    scales[row] = bits < kInfinity ? scale : __builtin_nanf("");
    if (bits >= kInfinity) {
      for (int64_t i = 0; i < width; ++i) q[i] = 0;
      continue;
    }
    for (int64_t i = 0; i < width; ++i) {
      float code = __builtin_rintf(x[i] / scale);
      code = code > 127 ? 127 : code < least ? least : code;
      q[i] = static_cast<int8_t>(static_cast<int32_t>(code));
    }
  }
}

template <machine::Isa>
void DequantiseRows::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) dequantise_row(*this, row, out + row * width);
}

template <machine::Isa>
void RowByQuantised::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) out[row] = dot_row(*this, row);
}

template void QuantiseRows::rows<machine::Isa::HONE_ISA>(int64_t, int64_t) const;
template void DequantiseRows::rows<machine::Isa::HONE_ISA>(int64_t, int64_t) const;
template void RowByQuantised::rows<machine::Isa::HONE_ISA>(int64_t, int64_t) const;

}  // namespace hone::kernels

// Compiled once, for x86-64-v3; functions that use more say so (HONE_TARGET).
#include "hone/kernels/cpu/int8_product.h"

#include <immintrin.h>

#define HONE_TARGET(names) __attribute__((target(names)))
#define HONE_AVX512_VNNI HONE_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace hone::kernels {
namespace {

/// Bytes of w that are worked on at once, for all rows of x: they stay in the L2 cache.
constexpr int64_t kBlockBytes = 256 * 1024;

/// Sums of rows [m, m + R) and columns [n, n + C). On the way what VNNI adds may overflow, and
/// comes back as it is taken off: hence unsigned.
struct Tile {
  uint32_t sums[6][4];
};

uint32_t sum(__m256i x) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
}

HONE_AVX512_VNNI
uint32_t sum(__m512i x) {
  return sum(_mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1)));
}

/// The sum of row m of x and column n, of which each number counts as so much more, from k on.
uint32_t rest(const Int8Product& p, int64_t m, int64_t n, int64_t k, int32_t more) {
  uint32_t total = 0;
  for (; k < p.depth; ++k) {
    total += static_cast<uint32_t>(p.x[m * p.depth + k] * (p.w[n * p.depth + k] + more));
  }
  return total;
}

template <int R, int C>
void tile_avx2(const Int8Product& p, int64_t m, int64_t n, Tile& tile) {
  constexpr int64_t kStep = 16;
  __m256i sums[R][C] = {};
  int64_t k = 0;
  for (; k + kStep <= p.depth; k += kStep) {
    __m256i w[C];
    for (int c = 0; c < C; ++c) {
      const int8_t* at = p.w + (n + c) * p.depth + k;
      w[c] = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
    for (int r = 0; r < R; ++r) {
      const int16_t* at = p.wide_x + (m + r) * p.depth + k;
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      for (int c = 0; c < C; ++c) {
        sums[r][c] = _mm256_add_epi32(sums[r][c], _mm256_madd_epi16(w[c], x));
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      tile.sums[r][c] = sum(sums[r][c]) + rest(p, m + r, n + c, k, 0);
    }
  }
}

template <int R, int C>
HONE_TARGET("avxvnni")
void tile_avx_vnni(const Int8Product& p, int64_t m, int64_t n, Tile& tile) {
  constexpr int64_t kStep = 32;
  const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
  __m256i sums[R][C] = {};
  int64_t k = 0;
  for (; k + kStep <= p.depth; k += kStep) {
    __m256i w[C];
    for (int c = 0; c < C; ++c) {
      const int8_t* at = p.w + (n + c) * p.depth + k;
      w[c] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), sign);
    }
    for (int r = 0; r < R; ++r) {
      const int8_t* at = p.x + (m + r) * p.depth + k;
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      for (int c = 0; c < C; ++c) sums[r][c] = _mm256_dpbusd_avx_epi32(sums[r][c], w[c], x);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      tile.sums[r][c] = sum(sums[r][c]) + rest(p, m + r, n + c, k, 128) -
                        static_cast<uint32_t>(p.row_sums[m + r]);
    }
  }
}

template <int R, int C>
HONE_AVX512_VNNI void tile_avx512(const Int8Product& p, int64_t m, int64_t n, Tile& tile) {
  constexpr int64_t kStep = 64;
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i sums[R][C] = {};
  int64_t k = 0;
  for (; k + kStep <= p.depth; k += kStep) {
    __m512i w[C];
    for (int c = 0; c < C; ++c) {
      w[c] = _mm512_xor_si512(_mm512_loadu_si512(p.w + (n + c) * p.depth + k), sign);
    }
    for (int r = 0; r < R; ++r) {
      const __m512i x = _mm512_loadu_si512(p.x + (m + r) * p.depth + k);
      for (int c = 0; c < C; ++c) sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], w[c], x);
    }
  }
  if (k < p.depth) {  // x is 0 beyond the end
    const __mmask64 there = (__mmask64{1} << (p.depth - k)) - 1;
    for (int c = 0; c < C; ++c) {
      const __m512i w =
          _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, p.w + (n + c) * p.depth + k), sign);
      for (int r = 0; r < R; ++r) {
        const __m512i x = _mm512_maskz_loadu_epi8(there, p.x + (m + r) * p.depth + k);
        sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], w, x);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      tile.sums[r][c] = sum(sums[r][c]) - static_cast<uint32_t>(p.row_sums[m + r]);
    }
  }
}

/// One row of x by column n: w is read in one stream, by four sums, at the speed of memory.
HONE_AVX512_VNNI
uint32_t row_avx512(const Int8Product& p, int64_t n) {
  constexpr int64_t kStep = 64, kSums = 4;
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  const int8_t* w = p.w + n * p.depth;
  __m512i sums[kSums] = {};
  int64_t k = 0;
  for (; k + kSums * kStep <= p.depth; k += kSums * kStep) {
    for (int64_t i = 0; i < kSums; ++i) {
      const __m512i codes = _mm512_xor_si512(_mm512_loadu_si512(w + k + i * kStep), sign);
      sums[i] = _mm512_dpbusd_epi32(sums[i], codes, _mm512_loadu_si512(p.x + k + i * kStep));
    }
  }
  for (; k < p.depth; k += kStep) {
    const int64_t left = p.depth - k;
    const __mmask64 there = left < kStep ? (__mmask64{1} << left) - 1 : ~__mmask64{0};
    const __m512i codes = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, w + k), sign);
    sums[0] = _mm512_dpbusd_epi32(sums[0], codes, _mm512_maskz_loadu_epi8(there, p.x + k));
  }
  const __m512i all =
      _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]));
  return sum(all) - static_cast<uint32_t>(p.row_sums[0]);
}

/// Rows and columns of a whole tile, as many as there are registers for, and its loops.
template <machine::Int8Isa>
struct Tiles;

template <>
struct Tiles<machine::Int8Isa::kAvx2> {
  static constexpr int kRows = 3, kColumns = 3;
  template <int R, int C>
  static void sum(const Int8Product& p, int64_t m, int64_t n, Tile& tile) {
    tile_avx2<R, C>(p, m, n, tile);
  }
};

template <>
struct Tiles<machine::Int8Isa::kAvxVnni> {
  static constexpr int kRows = 3, kColumns = 3;
  template <int R, int C>
  static void sum(const Int8Product& p, int64_t m, int64_t n, Tile& tile) {
    tile_avx_vnni<R, C>(p, m, n, tile);
  }
};

template <>
struct Tiles<machine::Int8Isa::kAvx512Vnni> {
  static constexpr int kRows = 6, kColumns = 4;
  template <int R, int C>
  static void sum(const Int8Product& p, int64_t m, int64_t n, Tile& tile) {
    tile_avx512<R, C>(p, m, n, tile);
  }
};

/// Step by step: -ffp-contract=off and no other order.
void write(const Int8Product& p, int64_t m, int64_t n, uint32_t sum) {
  float y = static_cast<float>(static_cast<int32_t>(sum)) * p.x_scales[m];
  y *= p.w_scales[n];
  p.out[m * p.columns + n] = p.bias == nullptr ? y : y + p.bias[n];
}

template <class T, int R, int C>
void write_tile(const Int8Product& p, int64_t m, int64_t n) {
  Tile tile;
  T::template sum<R, C>(p, m, n, tile);
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) write(p, m + r, n + c, tile.sums[r][c]);
  }
}

/// Rows [m, m + left), of which R at most are left, of C columns.
template <class T, int R, int C>
void write_rows(const Int8Product& p, int64_t m, int64_t n, int64_t left) {
  if constexpr (R > 0) {
    if (left == R) return write_tile<T, R, C>(p, m, n);
    write_rows<T, R - 1, C>(p, m, n, left);
  }
}

template <class T>
void write_block(const Int8Product& p, int64_t begin, int64_t end) {
  for (int64_t m = 0; m < p.rows; m += T::kRows) {
    const int64_t left = p.rows - m < T::kRows ? p.rows - m : T::kRows;
    int64_t n = begin;
    for (; n + T::kColumns <= end; n += T::kColumns) {
      write_rows<T, T::kRows, T::kColumns>(p, m, n, left);
    }
    for (; n < end; ++n) write_rows<T, T::kRows, 1>(p, m, n, left);
  }
}

}  // namespace

template <machine::Int8Isa kIsa>
void Int8Product::run(int64_t begin, int64_t end) const {
  using T = Tiles<kIsa>;
  if constexpr (kIsa == machine::Int8Isa::kAvx512Vnni) {
    if (rows == 1) {
      for (int64_t n = begin; n < end; ++n) write(*this, 0, n, row_avx512(*this, n));
      return;
    }
  }
  const int64_t fitting = kBlockBytes / (depth > 0 ? depth : 1) / T::kColumns * T::kColumns;
  const int64_t block = fitting > T::kColumns ? fitting : T::kColumns;
  for (int64_t n = begin; n < end; n += block) {
    write_block<T>(*this, n, end - n < block ? end : n + block);
  }
}

template void Int8Product::run<machine::Int8Isa::kAvx2>(int64_t, int64_t) const;
template void Int8Product::run<machine::Int8Isa::kAvxVnni>(int64_t, int64_t) const;
template void Int8Product::run<machine::Int8Isa::kAvx512Vnni>(int64_t, int64_t) const;

}  // namespace hone::kernels

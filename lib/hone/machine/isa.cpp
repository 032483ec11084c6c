#include "hone/machine/isa.h"

#include <atomic>

#include "hone/core/error.h"

namespace hone::machine {
namespace {

std::atomic<Isa>& chosen() {
  static std::atomic<Isa> isa = has_isa(Isa::kV4) ? Isa::kV4 : Isa::kV3;
  return isa;
}

std::atomic<Int8Isa>& chosen_int8() {
  static std::atomic<Int8Isa> isa = has_int8_isa(Int8Isa::kAvx512Vnni) ? Int8Isa::kAvx512Vnni
                                    : has_int8_isa(Int8Isa::kAvxVnni)  ? Int8Isa::kAvxVnni
                                                                       : Int8Isa::kAvx2;
  return isa;
}

}  // namespace

bool has_isa(Isa isa) {
  return isa == Isa::kV3 ||
         (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl"));
}

bool multiplies_bfloat16() { return has_isa(Isa::kV4) && __builtin_cpu_supports("avx512bf16"); }

Isa isa() { return chosen().load(std::memory_order_relaxed); }

void set_isa(Isa isa) {
  if (!has_isa(isa)) throw Error("this CPU lacks AVX-512 (x86-64-v4)");
  chosen() = isa;
}

bool has_int8_isa(Int8Isa isa) {
  if (isa == Int8Isa::kAvx512Vnni) {
    return has_isa(Isa::kV4) && __builtin_cpu_supports("avx512vnni");
  }
  return isa == Int8Isa::kAvx2 || __builtin_cpu_supports("avxvnni");
}

Int8Isa int8_isa() { return chosen_int8().load(std::memory_order_relaxed); }

void set_int8_isa(Int8Isa isa) {
  if (!has_int8_isa(isa)) throw Error("this CPU lacks these instructions for 8-bit integers");
  chosen_int8() = isa;
}

}  // namespace hone::machine

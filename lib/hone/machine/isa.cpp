#include "hone/machine/isa.h"

#include <atomic>

#include "hone/core/error.h"

namespace hone::machine {
namespace {

std::atomic<Isa>& chosen() {
  static std::atomic<Isa> isa = has_isa(Isa::kV4) ? Isa::kV4 : Isa::kV3;
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

}  // namespace hone::machine

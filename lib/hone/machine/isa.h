/// Which instructions this machine's CPU has.
#pragma once

namespace hone::machine {

/// The instruction sets for which loops are compiled (cmake/HoneRoom.cmake): x86-64-v3, which every
/// machine needs (AVX2, FMA), and x86-64-v4 (AVX-512 F, BW, CD, DQ, VL).
enum class Isa { kV3, kV4 };

/// Whether this CPU has the instructions of `isa`.
bool has_isa(Isa isa);

/// The one whose loops run: the best that the CPU has, unless set_isa() chose another.
Isa isa();

/// Whether the CPU multiplies bfloat16 by instructions of its own: AVX512-BF16, or AMX, no CPU of
/// which lacks that.
bool multiplies_bfloat16();

/// For tests and measurements. Throws: Error if the CPU lacks it.
void set_isa(Isa isa);

/// The instructions by which products of 8-bit integers may be summed: AVX2's of 16 bits, after
/// widening, or those made for it (VNNI), of 256 or 512 bits.
enum class Int8Isa { kAvx2, kAvxVnni, kAvx512Vnni };

bool has_int8_isa(Int8Isa isa);
/// The one that is used: the best that the CPU has, unless set_int8_isa() chose another.
Int8Isa int8_isa();
/// For tests and measurements. Throws: Error if the CPU lacks it.
void set_int8_isa(Int8Isa isa);

}  // namespace hone::machine

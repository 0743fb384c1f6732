// The instruction sets of this processor that micro-kernels may use.
#pragma once

namespace adafuse {

// The sets of the target's processors, the best first, as in instruction_sets.cmake.
enum class InstructionSet {
#define INSTRUCTION_SET(name, shown) name,
#include "instruction_sets.inc"
#undef INSTRUCTION_SET
};

// The set's usual name, such as "AVX-512 VNNI".
const char* to_string(InstructionSet set);

// Whether this processor and system have the set and ADAFUSE_MAX_ISA ("baseline", "avx2" or
// "avx512"; anything else, or nothing, for no limit) allows it.
bool supports(InstructionSet set);

}  // namespace adafuse

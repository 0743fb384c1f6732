// Which instruction sets kernels may use here.
#pragma once

#if defined(__x86_64__)
namespace adafuse {

// Whether ADAFUSE_MAX_ISA ("baseline", "avx2" or "avx512") leaves the sets; anything else, or
// nothing, leaves all.  The processor must still support them.
bool avx2_allowed();
bool avx512_allowed();
// Also asks the system for the room that it keeps the matrices of a process in.
bool amx_allowed();

}  // namespace adafuse
#endif

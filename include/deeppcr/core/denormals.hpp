#pragma once

namespace deeppcr {

/// From now on numbers below 2.2e-308 (1.2e-38 in single precision) count as zero in this thread
/// and in those it starts (not in those that run already, such as a BLAS library's). Products of
/// many contracting steps pass through such numbers on their way to zero, and many processors take
/// over 100 cycles for an operation on one: measured, a chain's elimination became 5 to 50 times
/// slower. Tolerances are relative and far above.
/// @returns whether this processor can be told so
bool flush_denormals();

}  // namespace deeppcr

"""The order in which the convolution kernel reads weights."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pack_weights(
    weight,
    packed,
    channels_out,
    channels_in,
    taps,
    SKIPPING: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Reorder weights (Cout, Cin, kH, kW), so that the axis that is never gathered is innermost.

    With SKIPPING, input channels are gathered: (kH, kW, Cin, Cout).  Else outputs may be:
    (Cout, kH, kW, Cin), which for 1x1 kernels is the same as the original.  ``taps`` is kH * kW.

    Grid: (ceil(Cout * Cin * taps / BLOCK),).
    """
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if SKIPPING:
        out = index % channels_out
        inp = index // channels_out % channels_in
        tap = index // (channels_out * channels_in)
    else:
        inp = index % channels_in
        tap = index // channels_in % taps
        out = index // (channels_in * taps)
    mask = index < channels_out * channels_in * taps
    values = tl.load(weight + (out * channels_in + inp) * taps + tap, mask=mask)
    tl.store(packed + index, values, mask=mask)

"""Work that was saved beside time that was saved."""

from __future__ import annotations

from typing import Any


def savings(gmacs: float, dense_gmacs: float, ms: float, dense_ms: float) -> dict[str, Any]:
    """Compare an adaptive network with a dense one.

    Args:
        gmacs, dense_gmacs: billions of multiply-accumulates per clip or frame.
        ms, dense_ms: milliseconds for as much.

    Returns:
        What was saved, "gmacs" and "ms", and as shares of the dense network's, "macs_share" and
        "time_share"; "speedup"; and "realised_share", the time saved as a share of the work saved,
        each as a share of the dense network's: 1 where a half of the work takes half of the time.
        None where no work was saved.
    """
    macs_share, time_share = 1 - gmacs / dense_gmacs, 1 - ms / dense_ms
    return {
        "gmacs": dense_gmacs - gmacs,
        "ms": dense_ms - ms,
        "macs_share": macs_share,
        "time_share": time_share,
        "speedup": dense_ms / ms,
        "realised_share": time_share / macs_share if macs_share > 0 else None,
    }

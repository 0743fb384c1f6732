"""How sure an accuracy is."""

from __future__ import annotations

import math

_Z = 1.959964  # of the normal distribution, 95 % lie within


def interval(hits: int, count: int) -> tuple[float, float]:
    """Return where an accuracy lies with a confidence of 95 %, in per cent.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927), the score interval.

    Args:
        hits: how many were right.
        count: of how many, at least one.
    """
    share, z2 = hits / count, _Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = _Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    low, high = 100 * (middle - spread), 100 * (middle + spread)
    return (low if hits else 0.0), (high if hits < count else 100.0)

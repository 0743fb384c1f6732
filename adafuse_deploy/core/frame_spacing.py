"""How far apart in time a clip's frames are: what one step from frame to frame means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adafuse_deploy.core.errors import InputError


@dataclass(frozen=True)
class FrameSpacing:
    """Seconds from a clip's frame to the next, over the videos that a network was trained on.

    A clip takes T frames evenly from a whole video, so a video of S seconds has S / T.

    Attributes:
        median: of the videos; the step of streams and windows.
        p10, p90: one video in ten has less, one in ten has more.
    """

    median: float
    p10: float
    p90: float

    def __post_init__(self) -> None:
        if not (0 < self.p10 <= self.median <= self.p90 and math.isfinite(self.p90)):
            raise InputError(
                f"A frame spacing has 0 < p10 <= median <= p90 in seconds, not {asdict(self)}."
            )

    @classmethod
    def constant(cls, seconds: float) -> FrameSpacing:
        """Return the spacing of videos that all have the same."""
        return cls(seconds, seconds, seconds)

    @classmethod
    def of(cls, spacings: Sequence[float]) -> FrameSpacing:
        """Return the distribution of some videos' spacings, in seconds to five digits."""
        values = np.quantile(spacings, [0.5, 0.1, 0.9])
        return cls(*(float(f"{value:.5g}") for value in values))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrameSpacing:
        """Rebuild it from plain values by name.

        Raises:
            InputError: they are not three numbers of these names in order.
        """
        try:
            return cls(**{str(name): float(value) for name, value in values.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"A frame spacing has median, p10 and p90 in seconds, not {values!r}."
            ) from error

    def __str__(self) -> str:
        spread = "" if self.p10 == self.p90 else f" ({self.p10:.3g} to {self.p90:.3g})"
        return f"{self.median:.3g} s{spread}"

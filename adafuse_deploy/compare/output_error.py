"""The error of an output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class OutputError:
    """The largest difference in one output, and the size of that output.

    Attributes:
        largest: largest absolute difference so far; NaN if there was one.
    """

    largest: float = 0.0
    _squares: float = 0.0
    _count: int = 0

    def add(self, expected: np.ndarray, got: np.ndarray) -> None:
        """Take in a batch of values."""
        if expected.size:
            # np.maximum passes a NaN on; the built-in max might not.
            self.largest = float(np.maximum(self.largest, np.abs(got - expected).max()))
        self._squares += float(np.square(expected, dtype=np.float64).sum())
        self._count += expected.size

    @property
    def rms(self) -> float:
        """Root mean square of the expected values."""
        return (self._squares / self._count) ** 0.5 if self._count else 0.0

    @property
    def relative(self) -> float:
        """``largest`` in units of ``rms``; NaN without values."""
        if not self._count:
            return float("nan")
        return self.largest / self.rms if self.rms else self.largest


def relative_error(expected: np.ndarray, got: np.ndarray) -> float:
    """Return the largest difference in units of the RMS of the expected values."""
    error = OutputError()
    error.add(expected, got)
    return error.relative

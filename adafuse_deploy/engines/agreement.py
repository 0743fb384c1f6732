"""Whether a graph just made still is the network it was made from."""

from __future__ import annotations

import numpy as np

from adafuse_deploy.prediction import Prediction

MAX_LOGITS_ERROR = 1e-4
"""Largest difference of logits, relative to their RMS, that a float32 graph may have."""


def disagreement(got: Prediction, expected: Prediction) -> str:
    """Return in words how two predictions differ beyond float32 rounding, or "" if they do not.

    Every decision must be the same and the logits within :data:`MAX_LOGITS_ERROR`.
    """
    flips = sum(int((a != b).sum()) for a, b in zip(got.policies, expected.policies, strict=True))
    rms = float(np.sqrt(np.mean(expected.logits**2))) or 1.0
    error = float(np.abs(got.logits - expected.logits).max()) / rms
    if not flips and error <= MAX_LOGITS_ERROR:
        return ""
    return f"{flips} decisions, logits by {error:.1e} of their RMS"

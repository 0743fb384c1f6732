"""What every engine returns, whatever ran the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KEEP, REUSE, SKIP = 0, 1, 2
"""Actions in the paper's numbering (arXiv 2102.05775, section 3.1): compute the channel, copy it
from the previous frame, or set it to zero."""


@dataclass(frozen=True)
class Prediction:
    """The result for B clips of T frames over K classes.

    Attributes:
        logits: float32 (B, K), the clips' scores after consensus.
        frame_logits: float32 (B, T, K), the frames' scores before consensus.
        policies: in network order, per gate a uint8 (B, T, C) of KEEP/REUSE/SKIP; empty for a
            dense network.
        macs: int64 (B,), multiply-accumulates that the clips' policies leave to be done.
    """

    logits: np.ndarray
    frame_logits: np.ndarray
    policies: list[np.ndarray]
    macs: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of ``logits``: float32 (B, K)."""
        exponent = np.exp(self.logits - self.logits.max(-1, keepdims=True))
        return exponent / exponent.sum(-1, keepdims=True)

    def top(self, count: int = 5) -> np.ndarray:
        """Return the ``count`` best classes per clip, best first: int64 (B, count)."""
        return np.argsort(-self.logits, axis=-1, kind="stable")[:, :count]

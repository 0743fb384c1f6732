"""What every engine returns, whatever ran the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adafuse_deploy.core.errors import InputError


@dataclass(frozen=True, repr=False)
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
        """Return the ``count`` best classes per clip, best first: int64 (B, min(count, K)).

        Raises:
            InputError: ``count`` is below 1.
        """
        if count < 1:
            raise InputError(f"At least 1 class can be asked for, not {count}.")
        return np.argsort(-self.logits, axis=-1, kind="stable")[:, :count]

    def __len__(self) -> int:
        """Return B."""
        return len(self.logits)

    def __getitem__(self, clip: int) -> Prediction:
        """Return what was predicted for one clip, with B = 1.

        Raises:
            IndexError: there is no such clip.
        """
        index = range(len(self))[clip]
        only = slice(index, index + 1)
        return Prediction(
            self.logits[only],
            self.frame_logits[only],
            [policy[only] for policy in self.policies],
            self.macs[only],
        )

    def __repr__(self) -> str:
        clips, classes = self.logits.shape
        best = ", ".join(str(self.logits[clip].argmax()) for clip in range(min(clips, 5)))
        more = ", ..." if clips > 5 else ""
        return (
            f"<Prediction: {clips} x {classes} classes, best {best}{more}; "
            f"{len(self.policies)} gates, {self.macs.mean() / 1e9:.4g} GMACs per clip>"
        )

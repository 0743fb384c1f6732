"""From the frames' logits of endless streams to one answer at any time."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from adafuse_deploy.core.errors import InputError

CONSENSUS = ("mean", "window", "ema", "last")


class Consensus(Protocol):
    """Combines what was seen of every stream so far."""

    def update(self, logits: np.ndarray) -> np.ndarray:
        """Take one frame's logits, float32 (B, K), and return the consensus, float32 (B, K)."""
        ...

    def reset(self, streams: int | slice) -> None:
        """Forget everything about one stream, or some."""
        ...


class DecayingMean:
    """A mean in which every frame weighs ``decay`` times as much as the next.

    1 is the mean of all frames, 0 the last frame alone, what lies between an exponential moving
    average, without its usual bias towards zero at the beginning.
    """

    def __init__(self, streams: int, classes: int, decay: float) -> None:
        self._decay = decay
        self._sum = np.zeros((streams, classes))
        self._weight = np.zeros((streams, 1))

    def update(self, logits: np.ndarray) -> np.ndarray:
        self._sum = self._decay * self._sum + logits
        self._weight = self._decay * self._weight + 1
        return (self._sum / self._weight).astype(np.float32)

    def reset(self, streams: int | slice) -> None:
        self._sum[streams] = self._weight[streams] = 0


class WindowMean:
    """The mean of the last ``window`` frames."""

    def __init__(self, streams: int, classes: int, window: int) -> None:
        self._frames = np.zeros((window, streams, classes), np.float32)
        self._seen = np.zeros((window, streams, 1), bool)
        self._next = 0

    def update(self, logits: np.ndarray) -> np.ndarray:
        self._frames[self._next] = logits
        self._seen[self._next] = True
        self._next = (self._next + 1) % len(self._frames)
        mean: np.ndarray = self._frames.mean(0, where=self._seen)
        return mean

    def reset(self, streams: int | slice) -> None:
        self._seen[:, streams] = False


def make_consensus(kind: str, streams: int, classes: int, window: int, decay: float) -> Consensus:
    """Return a consensus by name.

    Args:
        kind: one of :data:`CONSENSUS`.
        streams, classes: B and K.
        window: frames of a "window".
        decay: of an "ema".

    Raises:
        InputError: there is no such consensus, or its parameter is out of range.
    """
    if kind == "window":
        if window < 1:
            raise InputError(f"A window has at least 1 frame, not {window}.")
        return WindowMean(streams, classes, window)
    if kind == "ema" and not 0 < decay < 1:
        raise InputError(f"The decay of a moving average lies between 0 and 1, not at {decay}.")
    decays = {"mean": 1.0, "ema": decay, "last": 0.0}
    if kind not in decays:
        raise InputError(f"The consensus is one of {', '.join(CONSENSUS)}, not {kind!r}.")
    return DecayingMean(streams, classes, decays[kind])

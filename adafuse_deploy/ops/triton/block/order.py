"""The order of axes in which the block kernels read weights; NumPy alone."""

from __future__ import annotations

import numpy as np


def first(weight: np.ndarray) -> np.ndarray:
    """Return (C, Cin, k, k) as (C + 1, k * k * Cin): outputs are gathered, row C is zero."""
    rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return np.pad(rows, ((0, 1), (0, 0)))


def second(weight: np.ndarray) -> np.ndarray:
    """Return (Cout, C, 3, 3) as (9, C + 1, Cout): inputs are gathered, row C of a tap is zero."""
    taps = weight.transpose(2, 3, 1, 0).reshape(9, weight.shape[1], len(weight))
    return np.pad(taps, ((0, 0), (0, 1), (0, 0)))


def plain(weight: np.ndarray) -> np.ndarray:
    """Return (Cout, Cin, 1, 1) or (Cout, Cin) as (Cout, Cin)."""
    return weight.reshape(len(weight), -1)


def logits(weight: np.ndarray, bias: np.ndarray, actions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a gate's last layer, (C * A, hidden) and (C * A,), as (3 * C, hidden) and (3, C).

    The A logits of a channel stand side by side before, logit by logit behind.  A third one that a
    gate of two actions has not never wins: its bias is minus infinity.
    """
    hidden = weight.shape[1]
    parts = weight.reshape(-1, actions, hidden).transpose(1, 0, 2)
    shifts = bias.reshape(-1, actions).T.astype(np.float32)
    if actions == 2:
        parts = np.concatenate([parts, np.zeros_like(parts[:1])])
        shifts = np.concatenate([shifts, np.full_like(shifts[:1], -np.inf)])
    return np.ascontiguousarray(parts.reshape(-1, hidden)), np.ascontiguousarray(shifts)

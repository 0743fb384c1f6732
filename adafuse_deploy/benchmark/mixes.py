"""Policies with the shares of actions that trained networks have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.cost import Layer, gate_widths
from adafuse_deploy.core.errors import InputError

MIXES = {
    "dense": (0.0, 0.0, 1.0),
    "sthv1": (0.370, 0.258, 0.372),
    "sthv2": (0.596, 0.172, 0.232),
    "jester": (0.712, 0.105, 0.183),
    "minikinetics": (0.347, 0.123, 0.530),
}
"""Shares of skip, reuse and keep that the paper reports per data set; "dense" keeps everything."""


def parse_mix(text: str) -> tuple[float, float, float]:
    """Return the shares of skip, reuse and keep named by ``text``, or written in it as S,R,K.

    Raises:
        InputError: neither a name nor three shares that add up to one.
    """
    if text in MIXES:
        return MIXES[text]
    try:
        skip, reuse, keep = (float(part) for part in text.split(","))
    except ValueError:
        skip, reuse, keep = -1.0, -1.0, -1.0
    if min(skip, reuse, keep) < 0 or abs(skip + reuse + keep - 1) > 1e-3:
        raise InputError(
            f"A policy mix is one of {', '.join(MIXES)}, or the shares of skip, reuse and keep "
            f"such as 0.5,0.2,0.3, not {text!r}."
        )
    return skip, reuse, keep


def draw_policies(
    layers: Sequence[Layer],
    mix: tuple[float, float, float],
    clips: int,
    frames: int,
    seed: int = 0,
) -> list[np.ndarray]:
    """Draw every action independently.

    Args:
        layers: the network's cost table, which says how many channels each gate has.
        mix: shares of skip, reuse and keep.

    Returns:
        Per gate int32 (clips, frames, channels).
    """
    random = np.random.default_rng(seed)
    shares = np.array(mix) / sum(mix)
    return [
        random.choice([SKIP, REUSE, KEEP], (clips, frames, width), p=shares).astype(np.int32)
        for width in gate_widths(layers)
    ]

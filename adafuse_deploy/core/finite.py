"""Neither NaN nor infinity goes into a network or comes out of it unnoticed."""

from __future__ import annotations

import numpy as np

from adafuse_deploy.core.errors import InputError, NotFiniteError


def check_input(frames: np.ndarray) -> None:
    """Raise :class:`InputError` unless all of ``frames`` is finite.

    Runtimes disagree about NaN: some pass it on, others answer as if it were a number.

    Args:
        frames: float32 (B, ...).
    """
    finite = np.isfinite(frames)
    if not finite.all():
        index = int((~finite).reshape(len(frames), -1).any(1).argmax())
        raise InputError(
            f"Input {index} of the batch has NaN or infinite values; check how its frames were "
            "decoded and normalised."
        )


def check_logits(logits: np.ndarray, name: str) -> None:
    """Raise :class:`NotFiniteError` unless all of ``logits`` (B, K) is finite.

    Args:
        logits: what a network answered.
        name: the engine, for the message.
    """
    if not np.isfinite(logits).all():
        raise NotFiniteError(
            f"The network gave NaN or infinite logits for finite input in {name}: its weights are "
            "damaged, or its precision is too small for them; run 'adafuse-deploy verify' against "
            "the checkpoint, and build in a larger precision if only this engine fails."
        )

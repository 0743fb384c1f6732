"""Which thresholds an engine misses, over all clips and on each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.compare.check import flips_in_words
from adafuse_deploy.compare.comparison import Comparison, Flip
from adafuse_deploy.compare.reference import Expectation, Reference
from adafuse_deploy.core.errors import NotFiniteError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.verification.report import Thresholds

NOT_FINITE = "logits are NaN or infinite for finite clips."


@dataclass(frozen=True)
class FailedClip:
    """A clip that misses an engine's thresholds by itself.

    Attributes:
        clip: index among all clips that were compared.
        engine: its name.
        frames: float32 (1, T, 3, H, W).
        label: the class, or None where it is unknown.
        expected: what the reference answers by itself.
        got: what the engine answers; None for NaN or infinity.
        reasons: sentences on what was missed.
        flip: the clearest decision that differs and is no tie, if one does.
    """

    clip: int
    engine: str
    frames: np.ndarray
    label: int | None
    expected: Expectation
    got: Prediction | None
    reasons: tuple[str, ...]
    flip: Flip | None


@dataclass(frozen=True)
class Batch:
    """Some clips and what was answered: see :class:`FailedClip`, with B clips at a time.

    Attributes:
        first: index of the first clip among all.
        labels: int (B,), or None when they are unknown.
        got: None where some clip of them was answered with NaN or infinity.
    """

    first: int
    frames: np.ndarray
    labels: np.ndarray | None
    expected: Expectation
    got: Prediction | None


def failed_clips(
    batch: Batch, reference: Reference, name: str, engine: Engine, limits: Thresholds
) -> Iterator[FailedClip]:
    """Yield the clips of a batch on which the engine ``name`` misses the thresholds."""
    for index in range(len(batch.frames)):
        frames = batch.frames[index : index + 1]
        labels = None if batch.labels is None else batch.labels[index : index + 1]
        expected = batch.expected[index]
        got = _alone(engine, frames) if batch.got is None else batch.got[index]
        seen, itself = Comparison(), Comparison()
        reasons = [NOT_FINITE]
        if got is not None:
            itself.add(reference, frames, expected, expected.prediction, labels)
            seen.add(reference, frames, expected, got, labels)
            reasons = list(missed(seen, itself, limits, engine.metadata.gates))
        if reasons:
            label = None if labels is None else int(labels[0])
            clip = batch.first + index
            yield FailedClip(
                clip, name, frames, label, expected, got, tuple(reasons), seen.clearest
            )


def _alone(engine: Engine, frames: np.ndarray) -> Prediction | None:
    """Run a clip of a batch that was answered with NaN: perhaps it was another's."""
    try:
        return engine.run(frames)
    except NotFiniteError:
        return None


def missed(
    seen: Comparison, reference: Comparison, limits: Thresholds, gates: Sequence[str]
) -> Iterator[str]:
    """Yield a sentence for every threshold that is missed; a NaN misses all."""
    if not seen.excused_agreement >= limits.policy_agreement:
        yield (
            f"{flips_in_words(seen, gates)}; policies agree to {seen.excused_agreement:.4f} % "
            f"instead of {limits.policy_agreement:g} %."
        )
    for name, error in (("logits", seen.logits), ("frame_logits", seen.frame_logits)):
        allowed = limits.atol + limits.rtol * error.rms
        if not error.largest <= allowed:
            yield (
                f"{name} differ by up to {error.largest:.2e} ({error.relative:.1e} of their RMS), "
                f"more than the {allowed:.2e} allowed."
            )
    if not seen.top1_agreement >= limits.top1_agreement:
        yield (
            f"the best class agrees on {seen.top1_agreement:.1f} % of the clips instead of "
            f"{limits.top1_agreement:g} %."
        )
    if reference.top1_accuracy is not None and seen.top1_accuracy is not None:
        lost = reference.top1_accuracy - seen.top1_accuracy
        if not lost <= limits.top1_loss:
            yield (
                f"top-1 accuracy is {seen.top1_accuracy:.1f} %, {lost:.1f} points below the "
                f"reference's; {limits.top1_loss:g} may be lost."
            )

"""What the comparison counts, on answers made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from adafuse_deploy.compare.comparison import Comparison, Flip
from adafuse_deploy.compare.reference import TIE, Expectation, margins
from adafuse_deploy.core.prediction import Prediction

FRAMES = np.zeros((2, 2, 3, 8, 8), np.float32)


def answer(clips: int = 2) -> Prediction:
    """Two gates of 3 and 5 channels, 2 frames, 4 classes; everything is kept."""
    logits = np.tile(np.float32([4, 3, 2, 1]), (clips, 1))
    return Prediction(
        logits,
        np.repeat(logits[:, None], 2, 1),
        [np.zeros((clips, 2, channels), np.uint8) for channels in (3, 5)],
        np.full(clips, 7_000_000_000),
    )


def expectation(clips: int = 2, margin: float = 1.0) -> Expectation:
    prediction = answer(clips)
    return Expectation(prediction, [np.full(p.shape, margin) for p in prediction.policies])


@dataclass
class Given:
    """A reference whose answers under the engine's decisions are prepared.

    Attributes:
        led: the answer; None where it must not be asked for.
        asked: the decisions that it was told, call by call.
    """

    led: Expectation | None = None
    asked: list[Sequence[np.ndarray]] = field(default_factory=list)

    def run(self, frames: np.ndarray) -> Expectation:
        raise AssertionError("the comparison is given what the reference answers by itself")

    def follow(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Expectation:
        assert self.led is not None
        self.asked.append(policies)
        return self.led


def compare(
    expected: Expectation,
    got: Prediction,
    led: Expectation | None = None,
    *,
    labels: Sequence[int] | None = None,
    follow_all: bool = False,
) -> Comparison:
    seen = Comparison(follow_all=follow_all)
    seen.add(Given(led), FRAMES, expected, got, None if labels is None else np.array(labels))
    return seen


def flipped(gate: int, clip: int, channel: int = 2) -> Prediction:
    got = answer()
    got.policies[gate][clip, 1, channel] = 2
    return got


def test_equal_answers() -> None:
    seen, expected = Comparison(), expectation()
    seen.add(Given(), FRAMES, expected, answer(), np.array([0, 3]))
    seen.add(Given(), FRAMES, expected, answer(), np.array([1, 1]))
    assert (seen.clips, seen.decisions, seen.flips, seen.ties, seen.tied) == (4, 64, 0, 0, 0)
    assert seen.policy_agreement == seen.excused_agreement == seen.top1_agreement == 100
    assert seen.logits.largest == seen.frame_logits.largest == 0
    assert seen.logits.rms == pytest.approx(np.sqrt(30 / 4))
    assert (seen.top1_accuracy, seen.top5_accuracy) == (25, 100)
    assert seen.gmacs == 7
    assert seen.clearest is None


def test_without_labels() -> None:
    seen = compare(expectation(), answer())
    assert seen.top1_accuracy is None
    assert seen.top5_accuracy is None


def test_flips_count_and_are_named() -> None:
    seen = compare(expectation(margin=0.5), flipped(gate=1, clip=1, channel=3))
    assert (seen.flips, seen.unexcused, seen.ties, seen.tied) == (1, 1, 0, 0)
    assert seen.policy_agreement == seen.excused_agreement == pytest.approx(100 * 31 / 32)
    assert seen.clearest == Flip(margin=0.5, gate=1, clip=1, frame=1, channel=3)


@pytest.mark.parametrize("margin", [0.0, TIE / 2])
def test_ties_are_excused_and_everything_after_them_is_compared(margin: float) -> None:
    """The tie in gate 0 of clip 0 changes all that follows, and the reference follows it."""
    expected = expectation()
    expected.margins[0][0, 1, 2] = margin
    got = flipped(gate=0, clip=0)
    got.policies[1][0] = 1
    got.logits[0] = [1, 2, 3, 4]
    led = expectation(1)
    led.margins[0][0, 1, 2] = margin
    led.prediction.policies[1][0] = 1
    led.prediction.logits[0] = [1, 2, 3, 4.5]
    reference, seen = Given(led), Comparison()
    seen.add(reference, FRAMES, expected, got)
    (told,) = reference.asked
    for policy, ours in zip(told, got.policies, strict=True):
        np.testing.assert_array_equal(policy, ours[:1])
    assert (seen.tied, seen.ties, seen.flips, seen.unexcused) == (1, 1, 11, 0)
    assert seen.policy_agreement == pytest.approx(100 * 21 / 32)
    assert seen.excused_agreement == seen.top1_agreement == 100
    assert seen.logits.largest == 0.5  # of the tied clip, from what it is under its decisions


def test_a_fault_behind_a_tie_is_found() -> None:
    expected = expectation()
    expected.margins[0][0, 1, 2] = 0.0
    got = flipped(gate=0, clip=0)
    got.policies[1][0, 0, 4] = 2  # which the tie does not explain
    led = expectation(1)
    led.margins[0][0, 1, 2] = 0.0
    led.margins[1][0, 0, 4] = 3e-3
    seen = compare(expected, got, led)
    assert (seen.tied, seen.ties, seen.unexcused) == (1, 1, 1)
    assert seen.clearest == Flip(margin=3e-3, gate=1, clip=0, frame=0, channel=4)
    assert seen.excused_agreement == pytest.approx(100 * 31 / 32)


def test_a_clear_flip_beside_a_tie_is_no_tie() -> None:
    expected = expectation()
    expected.margins[0][0, 1, 2] = 0.0
    got = flipped(gate=0, clip=0)
    got.policies[0][0, 0, 0] = 1
    seen = compare(expected, got)  # nor is the reference asked to follow
    assert (seen.tied, seen.ties, seen.unexcused) == (0, 0, 2)
    assert seen.clearest is not None and seen.clearest.margin == 1.0


def test_consequences_are_not_named() -> None:
    """A later gate's margin says nothing once an earlier one went another way."""
    expected = expectation(margin=0.1)
    expected.margins[1][:] = 5.0
    got = flipped(gate=0, clip=1)
    got.policies[1][1] = 2
    seen = compare(expected, got)
    assert seen.unexcused == 11
    assert seen.clearest == Flip(margin=0.1, gate=0, clip=1, frame=1, channel=2)


def test_following_whatever_differs() -> None:
    """As for bfloat16: no consequences count, and ties are told apart."""
    expected = expectation(margin=0.01)
    got = flipped(gate=0, clip=0)
    got.policies[1][0] = 1
    led = expectation(1, margin=0.01)
    led.prediction.policies[1][0] = 1
    led.prediction.policies[1][0, 1, 0] = 0
    led.margins[1][0, 1, 0] = TIE / 2
    seen = compare(expected, got, led, follow_all=True)
    assert (seen.flips, seen.unexcused, seen.ties, seen.tied) == (11, 1, 1, 1)
    assert seen.clearest == Flip(margin=0.01, gate=0, clip=0, frame=1, channel=2)


def test_errors_of_outputs() -> None:
    got = answer()
    got.logits[1, 0] = 2.5
    seen = compare(expectation(), got)
    assert seen.logits.largest == 1.5
    assert seen.logits.relative == pytest.approx(1.5 / np.sqrt(7.5))
    assert seen.frame_logits.largest == 0
    assert seen.top1_agreement == 50


def test_nan_is_not_lost() -> None:
    seen, expected = Comparison(), expectation()
    broken = replace(answer(), logits=np.full((2, 4), np.nan, np.float32))
    seen.add(Given(), FRAMES, expected, broken)
    seen.add(Given(), FRAMES, expected, answer())
    assert np.isnan(seen.logits.largest)


def test_a_margin_of_nan_excuses_nothing() -> None:
    expected = expectation(margin=np.nan)
    seen = compare(expected, flipped(gate=0, clip=0))
    assert (seen.ties, seen.unexcused) == (0, 1)
    assert seen.clearest is not None and seen.clearest.margin == np.inf


def test_nothing_compared_agrees_in_nothing() -> None:
    seen = Comparison()
    shares = (seen.policy_agreement, seen.excused_agreement, seen.top1_agreement)
    assert np.isnan([*shares, seen.logits.relative]).all()


def test_dense_network() -> None:
    prediction = replace(answer(), policies=[])
    seen = compare(Expectation(prediction, []), prediction)
    assert (seen.decisions, seen.policy_agreement) == (0, 100)


@pytest.mark.parametrize("actions", [2, 3])
def test_margins(actions: int) -> None:
    """In units of each clip's RMS: twice the logits are as clear."""
    logits = np.zeros((2, 1, 2, actions), np.float32)
    logits[0, 0, 0, :2] = [3, 4]  # the others are 0
    logits[1] = 2 * logits[0]
    rms = np.sqrt(25 / (2 * actions))
    expected = np.tile([1 / rms, 0], (2, 1)).reshape(2, 1, 2)
    np.testing.assert_allclose(margins(logits), expected, rtol=1e-6)
    assert (margins(np.zeros((1, 1, 2, actions), np.float32)) == 0).all()

"""What the comparison counts, on answers made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adafuse_deploy.prediction import Prediction
from adafuse_deploy.verification.comparison import TIE, Comparison
from adafuse_deploy.verification.reference import Expectation


def expectation(clips: int = 2, margin: float = 1.0) -> Expectation:
    """Two gates of 3 and 5 channels, 2 frames, 4 classes; everything is kept."""
    logits = np.tile(np.float32([4, 3, 2, 1]), (clips, 1))
    prediction = Prediction(
        logits,
        np.repeat(logits[:, None], 2, 1),
        [np.zeros((clips, 2, channels), np.uint8) for channels in (3, 5)],
        np.full(clips, 7_000_000_000),
    )
    return Expectation(prediction, [np.full(p.shape, margin) for p in prediction.policies])


def flipped(expected: Expectation, gate: int, clip: int) -> Prediction:
    policies = [policy.copy() for policy in expected.prediction.policies]
    policies[gate][clip, 1, 2] = 2
    return replace(expected.prediction, policies=policies)


def test_equal_answers() -> None:
    seen, expected = Comparison(), expectation()
    seen.add(expected, expected.prediction, np.array([0, 3]))
    seen.add(expected, expected.prediction, np.array([1, 1]))
    assert (seen.clips, seen.decisions, seen.flips, seen.tied) == (4, 64, 0, 0)
    assert seen.policy_agreement == seen.untied_agreement == seen.top1_agreement == 100
    assert seen.logits.largest == seen.frame_logits.largest == 0
    assert seen.logits.rms == pytest.approx(np.sqrt(30 / 4))
    assert (seen.top1_accuracy, seen.top5_accuracy) == (25, 100)
    assert seen.gflops == 7


def test_without_labels() -> None:
    seen, expected = Comparison(), expectation()
    seen.add(expected, expected.prediction, None)
    assert seen.top1_accuracy is None
    assert seen.top5_accuracy is None


def test_flips_count() -> None:
    seen, expected = Comparison(), expectation(margin=0.5)
    seen.add(expected, flipped(expected, gate=1, clip=0), None)
    assert (seen.flips, seen.untied_flips, seen.tied) == (1, 1, 0)
    assert seen.policy_agreement == pytest.approx(100 * 31 / 32)
    assert (seen.first_flip_margin, seen.first_flip_gate) == (0.5, 1)


@pytest.mark.parametrize("margin", [0.0, TIE / 2])
def test_ties_are_counted_apart(margin: float) -> None:
    seen, expected = Comparison(), expectation()
    expected.margins[0][0, 1, 2] = margin
    got = flipped(expected, gate=0, clip=0)
    got.policies[1][0] = 1  # what follows from the tie
    got.logits[0] = [1, 2, 3, 4]
    seen.add(expected, got, None)
    assert (seen.tied, seen.flips, seen.untied_flips) == (1, 11, 0)
    assert seen.policy_agreement == pytest.approx(100 * 21 / 32)
    assert seen.untied_agreement == seen.top1_agreement == 100
    assert seen.logits.largest == 0


def test_a_clear_flip_beside_a_tie_is_no_tie() -> None:
    seen, expected = Comparison(), expectation()
    expected.margins[0][0, 1, 2] = 0.0
    got = flipped(expected, gate=0, clip=0)
    got.policies[0][0, 0, 0] = 1
    seen.add(expected, got, None)
    assert (seen.tied, seen.untied_flips, seen.first_flip_gate) == (0, 2, 0)


def test_errors_of_outputs() -> None:
    seen, expected = Comparison(), expectation()
    got = replace(expected.prediction, logits=expected.prediction.logits.copy())
    got.logits[1, 0] = 2.5
    seen.add(expected, got, None)
    assert seen.logits.largest == 1.5
    assert seen.logits.relative == pytest.approx(1.5 / np.sqrt(7.5))
    assert seen.frame_logits.largest == 0
    assert seen.top1_agreement == 50


def test_nan_is_not_lost() -> None:
    seen, expected = Comparison(), expectation()
    broken = replace(expected.prediction, logits=np.full((2, 4), np.nan, np.float32))
    seen.add(expected, broken, None)
    seen.add(expected, expected.prediction, None)
    assert np.isnan(seen.logits.largest)


def test_dense_network() -> None:
    logits = np.ones((2, 4), np.float32)
    prediction = Prediction(logits, np.ones((2, 2, 4), np.float32), [], np.ones(2, int))
    seen = Comparison()
    seen.add(Expectation(prediction, []), prediction, None)
    assert (seen.decisions, seen.policy_agreement) == (0, 100)

"""Intervals of accuracies, against published values."""

from __future__ import annotations

import pytest

from adafuse_deploy.evaluation.interval import interval


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, (25.53, 36.62)),
        (15, 148, (6.24, 16.05)),
        (0, 20, (0, 16.11)),
        (1, 29, (0.61, 17.18)),
        (29, 29, (88.30, 100)),
    ],
)
def test_wilson(hits: int, count: int, expected: tuple[float, float]) -> None:
    assert interval(hits, count) == pytest.approx(expected, abs=0.006)

"""Lines through profiles whose times are known."""

from __future__ import annotations

from typing import Any

import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.profiling.cost_model import CostModel
from adafuse_deploy.profiling.report import Profile, Row


def profile_of(conv1: float, conv2: float, **changes: Any) -> Profile:
    """Return the profile of a block, a policy network and a shape under such work."""
    phases = {"conv1": 1 + 2 * conv1, "conv2": 3 * conv2, "conv3": 4.0, "pack": conv1 + conv2}
    layers = {"layer1.0.conv1": conv1, "layer1.0.conv2": conv2, "layer1.0.conv3": 5.0}
    rows = [
        Row("layer1.0", "Block", 1, sum(phases.values()), phases, layers),
        Row("layer1.0.gate1", "Policy", 1, 0.5, {"policy": 0.5}, {"layer1.0.gate1.fc0": 7.0}),
        Row("Reshape", "Reshape", 3, 0.25),
    ]
    recorded = sum(row.ms for row in rows) + 0.75
    values: dict[str, Any] = {
        "model": "m.onnx",
        "summary": "",
        "engine": "",
        "mode": "clip",
        "threads": 1,
        "decisions": "",
        "rows": rows,
        "runtime_ms": 0.75,
        "recorded_ms": recorded,
        "end_to_end_ms": recorded,
        "runs": 1,
        "peaks": {},
    }
    return Profile(**{**values, **changes})


def test_what_follows_lines_is_predicted() -> None:
    model = CostModel([profile_of(10, 8), profile_of(4, 3)])
    for conv1, conv2 in [(10.0, 8.0), (6.0, 7.0), (0.0, 0.0)]:
        expected = profile_of(conv1, conv2)
        macs = {name: count for row in expected.rows for name, count in row.layers.items()}
        predicted = model.predict(macs)
        # Packing follows the block's whole work, which these two points put on one line.
        slack = abs(conv1 + conv2 - 18) * 1e-9 + 1e-9
        assert predicted == pytest.approx(expected.recorded_ms, abs=slack)


def test_more_profiles_than_two_settle_noise() -> None:
    profiles = [profile_of(10, 8), profile_of(10, 8), profile_of(4, 3)]
    noisy = profile_of(4, 3)
    noisy.rows[2] = Row("Reshape", "Reshape", 3, 0.65)
    model = CostModel([*profiles, noisy])
    expected = profile_of(6, 7)
    macs = {name: count for row in expected.rows for name, count in row.layers.items()}
    assert model.predict(macs) == pytest.approx(expected.recorded_ms + 0.1)


def test_profiles_that_make_no_model_are_refused() -> None:
    with pytest.raises(InputError, match="two policy mixes"):
        CostModel([profile_of(1, 1)])
    other = profile_of(1, 1)
    other.rows.pop()
    with pytest.raises(InputError, match="one graph"):
        CostModel([profile_of(2, 2), other])

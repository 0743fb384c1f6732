"""Shares, static channels and work per layer, against loops over decisions."""

from __future__ import annotations

import numpy as np
import pytest

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.cost import ChannelGate, Layer
from adafuse_deploy.core.decisions import DecisionCounts, policy_map
from adafuse_deploy.core.savings import savings

LAYERS = [
    Layer("backbone.a", "conv", 100, output=ChannelGate(0, 0, 4)),
    Layer("backbone.b", "conv", 40, input=ChannelGate(0, 0, 4)),
    Layer("backbone.policy", "linear", 7, policy=True),
]
# Two clips of two frames of four channels: the first is always kept, the second always skipped.
POLICY = np.array(
    [
        [[KEEP, SKIP, KEEP, REUSE], [KEEP, SKIP, SKIP, REUSE]],
        [[KEEP, SKIP, KEEP, REUSE], [KEEP, SKIP, KEEP, KEEP]],
    ],
    np.uint8,
)


@pytest.mark.parametrize("at_once", [True, False])
def test_counts(at_once: bool) -> None:
    counts = DecisionCounts(LAYERS, ["backbone.gate"])
    for batch in [POLICY] if at_once else [POLICY[:1], POLICY[1:]]:
        counts.add([batch], 2)
    (gate,) = counts.gates
    assert gate["name"] == "gate"
    assert (gate["keep"], gate["reuse"], gate["skip"]) == (8 / 16, 3 / 16, 5 / 16)
    assert (gate["channels"], gate["static"]) == (4, 2)
    assert [gate[f"static_{name}"] for name in ("keep", "reuse", "skip")] == [1, 0, 1]
    overall = counts.overall
    assert overall is not None and (overall["keep"], overall["static"]) == (0.5, 2)
    a, b, policy = counts.layers()
    # Computed: kept channels, and those that the next frame reuses; 25 MACs a channel and frame.
    # Frame 0 of clip 0: 1, 3 and 4, which frame 1 reuses; frame 1: 1; clip 1: 2 and 3.
    assert a["gmacs"] * 1e9 == pytest.approx(25 * (3 + 1 + 2 + 3) / 2)
    # Read: what is not skipped; 10 MACs a channel and frame.
    assert b["gmacs"] * 1e9 == pytest.approx(10 * (3 + 2 + 3 + 3) / 2)
    assert policy["policy_network"] and policy["gmacs"] == policy["dense_gmacs"]
    assert a["dense_gmacs"] * 1e9 == pytest.approx(200)
    assert a["saved"] == pytest.approx(1 - 112.5 / 200)
    assert counts.layers(per_frame=True)[0]["dense_gmacs"] * 1e9 == pytest.approx(100)
    assert counts.macs == pytest.approx(112.5 + 55 + 14)


def test_a_dense_network() -> None:
    counts = DecisionCounts([Layer("backbone.a", "conv", 100)], [])
    counts.add([], 4, clips=3)
    assert counts.overall is None and counts.gates == [] and counts.macs == 400
    assert counts.layers()[0]["saved"] == 0


def test_a_map() -> None:
    found = policy_map([POLICY], 1)
    assert found == {"keep": [[0.5, 0.75]], "reuse": [[0.25, 0.0]], "skip": [[0.25, 0.25]]}


def test_savings() -> None:
    found = savings(0.5, 2.0, 6.0, 10.0)
    assert found["macs_share"] == 0.75 and found["time_share"] == pytest.approx(0.4)
    assert found["realised_share"] == pytest.approx(0.4 / 0.75)
    assert found["speedup"] == pytest.approx(10 / 6) and found["ms"] == 4
    assert savings(2.0, 2.0, 6.0, 10.0)["realised_share"] is None

"""Graphs that adafuse-deploy 0.1.0 wrote run and answer what its networks answered in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adafuse_deploy.engines.loader import load_engine

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(("name", "of"), [("fused", "clip"), ("stream", "stream")])
def test_graphs_of_0_1_0(name: str, of: str) -> None:
    with (
        np.load(GOLDEN / "graphs_0.1.0.npz") as expected,
        load_engine(GOLDEN / f"{name}_0.1.0.onnx") as engine,
    ):
        clips = np.random.default_rng(7).standard_normal((2, 4, 3, 32, 32)).astype(np.float32)
        got = engine.run(clips)
        assert engine.metadata.tool_version == "0.1.0"
        logits = expected[f"{of}_logits"]
        error = np.abs(got.logits - logits).max()
        assert error <= 1e-4 * np.sqrt(np.mean(logits**2))
        for gate, policy in enumerate(got.policies):
            np.testing.assert_array_equal(policy, expected[f"{of}_policy_{gate}"])
        np.testing.assert_array_equal(got.macs, expected[f"{of}_macs"])

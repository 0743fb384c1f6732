"""What the demo says about its own measurements."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DENSE, ADAPTIVE = 0.09, 0.03


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    """scripts/demo.py as a module."""
    path = Path(__file__).parent.parent / "scripts" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def milliseconds(dense: float, ours: float) -> dict[str, float]:
    return {"A, dense": 9.0, "B, dense": dense, "A, AdaFuse": ours, "B, AdaFuse": 8.0}


@pytest.mark.parametrize(
    ("dense", "ours", "said", "small"),
    [
        (2.0, 4.0, "AdaFuse is slower here, dense 2.00 times as fast", True),
        (2.0, 2.02, "equally fast here", True),
        (3.0, 2.0, "AdaFuse is 1.50 times as fast here", True),
        (6.0, 2.0, "AdaFuse is 3.00 times as fast here", False),
    ],
)
def test_the_verdict_on_clips_follows_from_the_times(
    demo: Any, dense: float, ours: float, said: str, small: bool
) -> None:
    text = demo.small_verdict(milliseconds(dense, ours), ADAPTIVE, DENSE).replace("\n", " ")
    assert f"Best AdaFuse (A, AdaFuse) beside best dense (B, dense): {said}." in text
    assert ("little to save" in text) == small
    assert ("3.0 times fewer multiply-accumulates" in text) == small


@pytest.mark.parametrize(
    ("speedup", "said"),
    [
        (1.7, "AdaFuse is 1.70 times as fast here"),
        (1.01, "equally fast here"),
        (0.5, "AdaFuse is slower here, dense 2.00 times as fast"),
    ],
)
def test_the_verdict_on_the_large_network_follows_from_the_report(
    demo: Any, speedup: float, said: str
) -> None:
    report = {
        "speedup": speedup,
        "best_peer": "openvino",
        "macs_dense": 300,
        "macs_adaptive": 120,
    }
    assert demo.large_verdict(report).replace("\n", " ") == (
        f"Beside the best dense peer (openvino): {said}, with 2.50 times fewer "
        "multiply-accumulates."
    )


def test_the_verdict_on_the_stream_follows_from_its_frames(demo: Any) -> None:
    shown = ["up", "down", "down", "up", "down", "up"]
    frames = [
        {"seconds": float(second), "top": [{"label": label}]} for second, label in enumerate(shown)
    ]
    text = demo.stream_verdict(frames, [0.0, 2.0, 4.0, 6.0], ["down", "down", "up"])
    assert text.startswith("At their ends 2 of 3 actions were recognised;")

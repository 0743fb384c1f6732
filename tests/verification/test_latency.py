"""Interleaved timing against a clock that tells what we want (never the times of this machine)."""

from __future__ import annotations

import random

import pytest

from adafuse_deploy.verification import latency
from adafuse_deploy.verification.latency import Latency, interleave


def test_calls_take_turns_and_warm_up_untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 0, 1, ... 100 ms in any order the percentiles are evident."""
    clock = 0.0
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock)
    order: list[str] = []
    durations = [float(ms) for ms in range(101)]
    random.Random(0).shuffle(durations)

    def call(name: str, scale: float) -> None:
        nonlocal clock
        timed = order.count(name) - 2
        order.append(name)
        clock += 1e-3 * scale * durations[timed] if timed >= 0 else 1e6

    calls = {"a": lambda: call("a", 1), "b": lambda: call("b", 2)}
    found = interleave(calls, rounds=101, warmup=2)
    assert order == ["a", "b"] * 103
    for name, scale in (("a", 1), ("b", 2)):
        assert found[name] == Latency(
            pytest.approx(50 * scale), pytest.approx(90 * scale), pytest.approx(99 * scale), 101
        )

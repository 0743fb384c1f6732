"""Interleaved timing: order and counts (never the times themselves)."""

from __future__ import annotations

from adafuse_deploy.verification.latency import interleave


def test_calls_take_turns() -> None:
    calls: list[str] = []
    found = interleave(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warmup=2
    )
    assert calls == ["a", "b"] * 5
    assert set(found) == {"a", "b"}
    for latency in found.values():
        assert latency.rounds == 3
        assert 0 <= latency.p50 <= latency.p90 <= latency.p99

"""What the times of contenders say about the adaptive network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adafuse_deploy.benchmark.rounds import Times
from adafuse_deploy.core.savings import savings


@dataclass(frozen=True)
class Costs:
    """Multiply-accumulates per clip, of the dense network and under the policies."""

    dense: int
    adaptive: float


def compare_times(
    entries: Sequence[Mapping[str, Any]], times: Sequence[Times], costs: Costs
) -> dict[str, Any]:
    """Return the first contender beside its dense peers.

    Args:
        entries: what is known of each contender, with its "name".
        times: of each contender.
        costs: which share of the work was left.

    Returns:
        "ours" and "peers": the entries with percentiles "p50_ms" and so on, and numbers of samples;
        "best_peer"; "speedup" over it; "realised": the speed-up as a share of what the work that
        was left promises; "saved": :func:`~adafuse_deploy.core.savings.savings` beside it.

    Raises:
        CheckFailed: a contender has no undisturbed sample.
    """
    for entry, found in zip(entries, times, strict=True):
        found.check(entry["name"], "runs")
    ours, *peers = [
        {
            **entry,
            **percentiles(found.milliseconds, (25, 50, 75, 90)),
            "samples": len(found.milliseconds),
            "dropped": found.dropped,
        }
        for entry, found in zip(entries, times, strict=True)
    ]
    best = min(peers, key=lambda peer: peer["p50_ms"])
    speedup = best["p50_ms"] / ours["p50_ms"]
    return {
        "ours": ours,
        "peers": peers,
        "best_peer": best["name"],
        "macs_dense": costs.dense,
        "macs_adaptive": round(costs.adaptive),
        "speedup": speedup,
        "realised": speedup * costs.adaptive / costs.dense,
        "saved": savings(costs.adaptive / 1e9, costs.dense / 1e9, ours["p50_ms"], best["p50_ms"]),
        "samples": min(len(found.milliseconds) for found in times),
        "dropped": sum(found.dropped for found in times),
    }


def percentiles(
    milliseconds: Sequence[float] | np.ndarray, points: Sequence[int]
) -> dict[str, float]:
    """Return the ``points`` of a distribution as "p50_ms" and so on."""
    values = np.percentile(milliseconds, points)
    return {f"p{point}_ms": float(value) for point, value in zip(points, values, strict=True)}

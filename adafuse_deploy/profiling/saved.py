"""What a network's decisions save, node by node, beside the same graph that keeps everything."""

from __future__ import annotations

from typing import Any

from adafuse_deploy.core.savings import savings
from adafuse_deploy.profiling.report import Profile

KEEP_ALL = (0.0, 0.0, 1.0)
"""The mix of skip, reuse and keep that leaves nothing out."""


def saved_by_decisions(found: Profile, kept: Profile) -> dict[str, Any]:
    """Return what was saved, work and time beside each other.

    Args:
        found: of a graph under its decisions.
        kept: of the same graph, taken in turn with it, under :data:`KEEP_ALL`.

    Returns:
        "total": :func:`~adafuse_deploy.core.savings.savings` of all; and "rows", per node that
        computes layers its name, 10^9 multiply-accumulates "gmacs" of "dense_gmacs", "ms" of
        "dense_ms", "saved", the share of the work, and "realised_share", None where none was saved.
    """
    rows = []
    # Under a mix the policy networks decide nothing, so their nodes may stand elsewhere.
    whole = {row.name: row for row in kept.rows if row.layers}
    for row in found.rows:
        if not row.layers:
            continue
        full = whole[row.name]
        saved = savings(row.macs_done / 1e9, full.macs_done / 1e9, row.ms, full.ms)
        rows.append(
            {
                "name": row.name,
                "gmacs": row.macs_done / 1e9,
                "dense_gmacs": full.macs_done / 1e9,
                "saved": saved["macs_share"],
                "ms": row.ms,
                "dense_ms": full.ms,
                "realised_share": saved["realised_share"],
            }
        )
    total = savings(
        found.macs[2] / 1e9, kept.macs[2] / 1e9, found.end_to_end_ms, kept.end_to_end_ms
    )
    return {"total": total, "rows": rows}

"""From the spans of a recording to what each node's time went into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.ops.recorder import NODE, PHASES, SECTION, TASK, Recording

OF_OPERATORS = {
    "PolicyNetwork": "policy",
    "PolicyHistory": "policy",
    "FramePool": "pool",
    "QuantizedFramePool": "pool",
    "ChannelsLast": "pack",
}
"""What all tasks of an operator do that has no spans in its tasks; a convolution where not here."""


@dataclass(frozen=True)
class NodeTime:
    """One run of a node.

    Attributes:
        name: of the node.
        begin, end: nanoseconds of the recorder's clock.
        phases: nanoseconds of all threads together in each phase, "other" and "wait" included; they
            add up to the node's time on as many threads.
    """

    name: str
    begin: int
    end: int
    phases: dict[str, float]


def node_times(recording: Recording, threads: int, operators: Mapping[str, str]) -> list[NodeTime]:
    """Return the recorded runs of nodes in order.

    A phase's time is that of its spans.  "other" is the rest of the tasks, and what the node does
    on one thread outside of them (plans, means); "wait" is the time that threads did not spend in
    tasks while there were some, and that the others spend while one works alone.

    Args:
        recording: of whole runs.
        threads: of the session.
        operators: node -> its operator.
    """
    records = recording.records
    times = []
    order = np.argsort(records["run"], kind="stable")
    ends = np.searchsorted(records["run"][order], np.arange(1, records["run"].max(initial=0) + 2))
    begins = np.concatenate([[0], ends[:-1]])
    for begin, end in zip(begins, ends, strict=True):
        of_run = records[order[begin:end]]
        node = of_run[of_run["span"] == NODE]
        if not len(node):
            continue  # there was no room for it
        name = recording.names[int(node["node"][0])]
        spent = _sums(of_run)
        whole = int(node["end"][0] - node["begin"][0])
        phases = {phase: spent[span] for span, phase in PHASES.items() if spent[span]}
        rest = spent[TASK] - sum(phases.values())
        alone = whole - spent[SECTION]
        if phases:
            phases["other"] = rest + alone
        else:
            phases[OF_OPERATORS.get(operators.get(name, ""), "conv")] = rest
            phases["other"] = alone
        phases["wait"] = threads * whole - alone - spent[TASK]
        times.append(NodeTime(name, int(node["begin"][0]), int(node["end"][0]), phases))
    return sorted(times, key=lambda time: time.begin)


def _sums(records: np.ndarray) -> np.ndarray:
    """Return the nanoseconds of each kind of span."""
    spent = np.zeros(max(PHASES) + 1)
    np.add.at(spent, records["span"], records["end"] - records["begin"])
    return spent

"""What ONNX Runtime's own profiler says: the time and the tensors of every node of every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_NODE_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class NodeEvent:
    """One run of a node.

    Attributes:
        name: as the runtime calls it, which renames what it changes.
        operator: its type.
        begin, duration: microseconds, since profiling began.
        weight_bytes: of its constants.
        activation_bytes: of its other inputs and its outputs.
    """

    name: str
    operator: str
    begin: float
    duration: float
    weight_bytes: int
    activation_bytes: int


@dataclass
class RunEvents:
    """One run of a session: microseconds of all of it, and its nodes in order."""

    duration: float = 0.0
    nodes: list[NodeEvent] = field(default_factory=list)


def runs_of(events: Iterable[Mapping[str, Any]]) -> list[RunEvents]:
    """Sort the events of a session's profile into its runs.

    Args:
        events: the content of the file that ONNX Runtime writes.
    """
    spans = sorted((e for e in events if e.get("ph") == "X"), key=lambda event: event["ts"])
    whole = [event for event in spans if event["name"] == "model_run"]
    runs = [RunEvents(event["dur"]) for event in whole]
    nodes = [event for event in spans if event["name"].endswith(_NODE_SUFFIX)]
    place = 0
    for event in nodes:
        while place < len(whole) and event["ts"] > whole[place]["ts"] + whole[place]["dur"]:
            place += 1
        if place < len(whole) and event["ts"] >= whole[place]["ts"]:
            runs[place].nodes.append(_node(event))
    return runs


def _node(event: Mapping[str, Any]) -> NodeEvent:
    args = event["args"]

    def size(name: str) -> int:
        return int(args.get(name) or 0)

    return NodeEvent(
        event["name"].removesuffix(_NODE_SUFFIX),
        args.get("op_name", ""),
        event["ts"],
        event["dur"],
        size("parameter_size"),
        size("activation_size") + size("output_size"),
    )

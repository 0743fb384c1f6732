"""The rows of a profile, from what was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.profiling.layers import GraphNodes, NodeLayers
from adafuse_deploy.profiling.report import Row
from adafuse_deploy.profiling.runtime_events import NodeEvent, RunEvents
from adafuse_deploy.profiling.session import Measured, Sample, quietest


def make_rows(
    metadata: GraphMetadata,
    nodes: GraphNodes,
    measured: Measured,
    asked: Mapping[str, float],
    threads: int,
    peaks: Mapping[str, float],
) -> list[Row]:
    """Return a row for every node that computes layers, in order, and one for every other operator.

    Args:
        metadata: of the graph.
        nodes: of the graph.
        measured: by a session.
        asked: name in the cost table -> what the decisions ask of that layer in a run.
        threads: of the session.
        peaks: precision -> the machine's 10^9 multiply-accumulates a second.
    """
    ours = _our_times(measured.recorded, threads)
    events, times = _their_times(measured.events)
    frames = metadata.config.num_segments if metadata.mode == "clip" else 1

    def row(event: NodeEvent, found: NodeLayers | None) -> Row:
        phases = ours.get(event.name, {})
        ms = sum(phases.values()) if phases else times[event.name]
        layers = [metadata.layers[index] for index in found.layers] if found else []
        dense = float(frames * sum(layer.macs for layer in layers))
        of_layers = {layer.name: asked[layer.name] for layer in layers}
        done = sum(of_layers.values()) if phases else dense
        convolves = any(layer.kind == "conv" for layer in layers)
        peak = peaks.get(metadata.precision if convolves else "fp32")
        state = found.state_bytes if found else 0
        return Row(
            name=found.name if found else event.operator,
            operator=event.operator,
            nodes=1,
            ms=ms,
            phases=phases,
            layers=of_layers,
            macs_dense=dense,
            macs_asked=sum(of_layers.values()),
            macs_done=done,
            peak_share=done / (ms * 1e6 * peak) if peak and ms and done else None,
            weight_bytes=event.weight_bytes,
            activation_bytes=max(0, event.activation_bytes - state),
            state_bytes=state,
        )

    computing: list[Row] = []
    others: dict[str, list[Row]] = defaultdict(list)
    for event in events.values():
        found = nodes.find(event.name, event.operator)
        rows = computing if found else others[event.operator]
        rows.append(row(event, found))
    return computing + [_together(rows) for rows in others.values()]


def _our_times(places: Sequence[Sequence[Sample]], threads: int) -> dict[str, dict[str, float]]:
    """Return node -> phase -> mean milliseconds a run, of all threads by their number."""
    times: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for samples in places:
        quiet = quietest(samples, lambda sample: sample.ms)
        share = 1e-6 / threads / len(quiet) / len(places)
        for sample in quiet:
            for name, node in sample.nodes.items():
                for phase, spent in node.phases.items():
                    times[name][phase] += spent * share
    return {name: dict(phases) for name, phases in times.items()}


def _their_times(
    places: Sequence[Sequence[RunEvents]],
) -> tuple[dict[str, NodeEvent], dict[str, float]]:
    """Return node -> one of its events, and its mean milliseconds a run.

    Most are so short that another program disturbs few of them: each has its own quietest runs.
    """
    events: dict[str, NodeEvent] = {}
    times: dict[str, float] = defaultdict(float)
    for runs in places:
        durations: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            for event in run.nodes:
                events.setdefault(event.name, event)
                durations[event.name].append(event.duration)
        for name, of_node in durations.items():
            quiet = quietest(of_node, float)
            times[name] += 1e-3 * sum(quiet) / len(quiet) / len(places)
    return events, times


def _together(rows: Sequence[Row]) -> Row:
    """Return one row for all nodes of an operator that computes no layers."""
    phases: dict[str, float] = defaultdict(float)
    for row in rows:
        for phase, ms in row.phases.items():
            phases[phase] += ms
    return Row(
        name=rows[0].operator,
        operator=rows[0].operator,
        nodes=len(rows),
        ms=sum(row.ms for row in rows),
        phases=dict(phases),
        weight_bytes=sum(row.weight_bytes for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )

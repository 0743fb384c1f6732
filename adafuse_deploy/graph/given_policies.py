"""Graphs whose convolutions obey given decisions instead of the policy networks'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.metadata import GraphMetadata, StateTensor, policy_name
from adafuse_deploy.graph.fuse.policy_networks import find_policy_networks
from adafuse_deploy.graph.new_nodes import add_constant, make_node
from adafuse_deploy.graph.values import given
from adafuse_deploy.ops.operator_schemas import DOMAIN

_FRAME = StateTensor("forced_frame", "next_forced_frame", (1,), "int32")


def force_policies(
    model: onnx.ModelProto, policies: Sequence[np.ndarray], features: Sequence[str] = ()
) -> onnx.ModelProto:
    """Return a graph whose convolutions obey given policies.

    The policy networks still run and their decisions are still the graph's outputs, so they can be
    timed, and compared one by one without the consequences of each other.

    Args:
        model: an exported or fused clip graph; it is not changed.
        policies: per gate integers (N, T, C).
        features: of :func:`feature_names`, to be outputs too, behind all others.
    """
    forced = ir.from_proto(model)
    _show(forced.graph, features)
    for gate, policy in enumerate(policies):
        name = policy_name(gate)
        values = np.asarray(policy, np.int32)
        _obey(_output(forced.graph, name), add_constant(forced.graph, f"forced_{name}", values))
    return ir.to_proto(forced)


@dataclass(frozen=True)
class GuidedGraph:
    """A graph whose decisions can be given from outside, and that shows its gates' logits.

    Attributes:
        model: the graph.
        given: per gate the name of an input for its decisions, int32 (N, T, C) with T = 1 in
            stream graphs, of which negative ones are left to the gate.
        logits: per gate the name of an output, the gate's logits float32 (N, T, C, A).
        features: of :func:`feature_names`, outputs too; of stream graphs none.
    """

    model: onnx.ModelProto
    given: list[str]
    logits: list[str]
    features: list[str]


def offer_policies(model: onnx.ModelProto, metadata: GraphMetadata) -> GuidedGraph:
    """Return a graph whose decisions can be given from outside.

    Args:
        model: a portable graph; it is not changed.
        metadata: of that graph.
    """
    guided = ir.from_proto(model)
    graph = guided.graph
    clips = metadata.mode == "clip"
    frames = metadata.config.num_segments if clips else 1
    features = feature_names(model, frames, len(metadata.gates)) if clips else []
    zero = add_constant(graph, "forced_zero", np.array(0, np.int32))
    inputs, logits = [], []
    for gate, width in enumerate(gate_widths(metadata.layers)):
        output = _output(graph, policy_name(gate))
        own = output if clips else _shown(output)
        forced = ir.val(f"forced_{output.name}", ir.DataType.INT32, ["batch", frames, width])
        free = make_node("Less", [forced, zero], [f"free_{output.name}"])
        chosen = make_node("Where", [free.outputs[0], own, forced], [f"chosen_{output.name}"])
        _obey(own, chosen.outputs[0], except_for=(chosen, output.producer()))
        graph.insert_after(_maker(own), [free, chosen])
        graph.inputs.append(forced)
        inputs.append(str(forced.name))
        found = _gate_logits(own)
        found.dtype = ir.DataType.FLOAT
        graph.outputs.append(found)
        logits.append(str(found.name))
    _show(graph, features)
    return GuidedGraph(ir.to_proto(guided), inputs, logits, features)


def feature_names(model: onnx.ModelProto, frames: int, gates: int) -> list[str]:
    """Return the values that policy networks read, or none if they are not to be found.

    They are float32 (N * T, F), one per gate in network order: pooled features of each frame.

    Args:
        model: an exported or fused clip graph.
        frames: T.
        gates: how many there are.
    """
    graph = ir.from_proto(model).graph
    read = {str(n.decides.outputs[0].name): n.features for n in find_policy_networks(graph, frames)}
    fused = (node for node in graph if node.op_type == "PolicyNetwork" and node.domain == DOMAIN)
    read |= {str(node.outputs[0].name): given(node, 1) for node in fused}
    names = [policy_name(gate) for gate in range(gates)]
    found = [str(read[name].name) for name in names if name in read]
    return found if len(found) == len(set(found)) == gates else []


def _show(graph: ir.Graph, names: Sequence[str]) -> None:
    """Make values outputs too."""
    values = {value.name: value for node in graph for value in node.outputs}
    for name in names:
        values[name].dtype = ir.DataType.FLOAT
        graph.outputs.append(values[name])


def force_stream_policies(
    model: onnx.ModelProto,
    metadata: GraphMetadata,
    policies: Sequence[np.ndarray],
    streams: int | None = None,
) -> onnx.ModelProto:
    """Return a stream graph whose convolutions obey given policies, frame after frame.

    After the last frame's the first come again.  The number of the frame becomes one more state.

    Args:
        model: an exported or fused stream graph; it is not changed.
        metadata: of that graph.
        policies: per gate integers (frames, C).
        streams: None for any number, which all begin with the first frame's policies; or how many,
            which begin as far from each other as they can.
    """
    result = ir.from_proto(model)
    graph = result.graph
    nodes: list[ir.Node] = []

    def add(kind: str, inputs: list[ir.Value], *names: str, **attributes: Any) -> list[ir.Value]:
        nodes.append(make_node(kind, inputs, names, **attributes))
        return list(nodes[-1].outputs)

    def number(name: str, value: int) -> ir.Value:
        return add_constant(graph, name, np.array(value, np.int32))

    first = ir.val(_FRAME.input, ir.DataType.INT32, ["batch", 1])
    count, one = number("forced_count", len(policies[0])), number("forced_one", 1)
    frame = first
    if streams is not None:
        starts = np.arange(streams)[:, None] * len(policies[0]) // streams
        begin = add_constant(graph, "forced_starts", starts.astype(np.int32))
        (moved,) = add("Add", [frame, begin], "forced_moved")
        (frame,) = add("Mod", [moved, count], "forced_turn")
    # All gates' in one tensor, so that looking them up takes no time worth mentioning.
    table = np.concatenate(policies, 1).astype(np.int32)
    widths = np.array([policy.shape[1] for policy in policies], np.int64)
    names = [policy_name(gate) for gate in range(len(policies))]
    (row,) = add("Gather", [add_constant(graph, "forced_frames", table), frame], "forced_policies")
    sizes = add_constant(graph, "forced_widths", widths)
    forced = add("Split", [row, sizes], *(f"forced_{name}" for name in names), axis=2)
    for name, replacement in zip(names, forced, strict=True):
        output = _output(graph, name)
        _obey(_shown(output), replacement, except_for=(output.producer(),))
    (following,) = add("Add", [first, one], "forced_next")
    (last,) = add("Mod", [following, count], _FRAME.output)
    last.dtype, last.shape = ir.DataType.INT32, ir.Shape(["batch", 1])
    graph.insert_before(graph[0], nodes)
    graph.inputs.append(first)
    graph.outputs.append(last)
    described = replace(metadata, state=[*metadata.state, _FRAME])
    result.metadata_props.update(described.to_props())
    return ir.to_proto(result)


def _output(graph: ir.Graph, name: str) -> ir.Value:
    return next(value for value in graph.outputs if value.name == name)


def _maker(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None
    return node


def _shown(output: ir.Value) -> ir.Value:
    """Return the decisions (N, 1, C) that a stream graph's ``output`` (N, C) is cut out of."""
    return given(_maker(output), 0)


def _obey(decisions: ir.Value, forced: ir.Value, except_for: Sequence[ir.Node | None] = ()) -> None:
    """Replace decisions wherever they count, but not where the graph shows them."""
    for reader, index in decisions.uses():
        if reader not in except_for:
            reader.replace_input_with(index, forced)


def _gate_logits(decisions: ir.Value) -> ir.Value:
    """Return the value that ``decisions`` are the argmax of."""
    pending: list[ir.Value | None] = [decisions]
    while pending:
        value = pending.pop()
        node = None if value is None else value.producer()
        if node is not None and node.op_type == "ArgMax":
            return given(node, 0)
        pending += [] if node is None else node.inputs
    raise ValueError(f"{decisions.name} is no argmax.")

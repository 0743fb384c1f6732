"""Graphs whose convolutions obey given decisions instead of the policy networks'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.metadata import GraphMetadata, StateTensor, policy_name


def force_policies(model: onnx.ModelProto, policies: Sequence[np.ndarray]) -> None:
    """Let the convolutions of ``model`` obey given policies.

    The policy networks still run and their decisions are still the graph's outputs, so they can be
    timed, and compared one by one without the consequences of each other.

    Args:
        model: an exported or lowered graph, changed in place.
        policies: per gate integers (N, T, C).
    """
    names = {policy_name(gate): f"forced_{policy_name(gate)}" for gate in range(len(policies))}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    for name, policy in zip(names.values(), policies, strict=True):
        values = onnx.numpy_helper.from_array(np.asarray(policy, np.int32), name)
        model.graph.initializer.append(values)


def offer_policies(model: onnx.ModelProto, metadata: GraphMetadata) -> tuple[list[str], list[str]]:
    """Let decisions of ``model`` be given from outside, and show the gates' logits.

    Args:
        model: a portable graph, changed in place.
        metadata: of that graph.

    Returns:
        Per gate the name of a new input for its decisions, int32 (N, T, C) with T = 1 in stream
        graphs, of which negative ones are left to the gate; and the name of a new output, the
        gate's logits float32 (N, T, C, A).
    """
    graph = model.graph
    frames = metadata.config.num_segments if metadata.mode == "clip" else 1
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.int32), "forced_zero"))
    given, logits = [], []
    for gate, width in enumerate(gate_widths(metadata.layers)):
        output = policy_name(gate)
        own = output if metadata.mode == "clip" else _maker(graph, output).input[0]
        forced, chosen = f"forced_{output}", f"chosen_{output}"
        for node in graph.node:
            for index, name in enumerate(node.input):
                if name == own and output not in node.output:
                    node.input[index] = chosen
        position = list(graph.node).index(_maker(graph, own)) + 1
        nodes = [
            helper.make_node("Less", [forced, "forced_zero"], [f"free_{output}"]),
            helper.make_node("Where", [f"free_{output}", own, forced], [chosen]),
        ]
        for node in reversed(nodes):
            graph.node.insert(position, node)
        graph.input.append(
            helper.make_tensor_value_info(forced, TensorProto.INT32, ["batch", frames, width])
        )
        given.append(forced)
        logits.append(_gate_logits(graph, own))
        kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        graph.output.append(helper.make_value_info(logits[-1], kind))
    return given, logits


def _maker(graph: onnx.GraphProto, value: str) -> onnx.NodeProto:
    return next(node for node in graph.node if value in node.output)


def _gate_logits(graph: onnx.GraphProto, decisions: str) -> str:
    """Return the value that ``decisions`` are the argmax of."""
    makers = {name: node for node in graph.node for name in node.output}
    pending = [decisions]
    while pending:
        node = makers.get(pending.pop())
        if node is not None and node.op_type == "ArgMax":
            return node.input[0]
        pending += [] if node is None else node.input
    raise ValueError(f"{decisions} is no argmax.")


_FRAME = StateTensor("forced_frame", "next_forced_frame", (1,), "int32")


def force_stream_policies(
    model: onnx.ModelProto,
    metadata: GraphMetadata,
    policies: Sequence[np.ndarray],
    streams: int | None = None,
) -> None:
    """Let the convolutions of a stream graph obey given policies, frame after frame.

    After the last frame's the first come again.  The number of the frame becomes one more state.

    Args:
        model: an exported or lowered stream graph, changed in place.
        metadata: of that graph.
        policies: per gate integers (frames, C).
        streams: None for any number, which all begin with the first frame's policies; or how many,
            which begin as far from each other as they can.
    """
    graph = model.graph
    frame, nodes = _FRAME.input, []
    if streams is not None:
        starts = np.arange(streams)[:, None] * len(policies[0]) // streams
        tensor = onnx.numpy_helper.from_array(starts.astype(np.int32), "forced_starts")
        graph.initializer.append(tensor)
        nodes.append(helper.make_node("Add", [frame, "forced_starts"], ["forced_moved"]))
        frame = "forced_turn"
        nodes.append(helper.make_node("Mod", ["forced_moved", "forced_count"], [frame]))
    # All gates' in one tensor, so that looking them up takes no time worth mentioning.
    names = [policy_name(gate) for gate in range(len(policies))]
    constants: dict[str, np.ndarray] = {
        "forced_frames": np.concatenate(policies, 1).astype(np.int32),
        "forced_widths": np.array([policy.shape[1] for policy in policies], np.int64),
        "forced_one": np.array(1, np.int32),
        "forced_count": np.array(len(policies[0]), np.int32),
    }
    for name, value in constants.items():
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    nodes.append(helper.make_node("Gather", ["forced_frames", frame], ["forced_policies"]))
    forced = [f"forced_{name}" for name in names]
    nodes.append(helper.make_node("Split", ["forced_policies", "forced_widths"], forced, axis=2))
    for name, replacement in zip(names, forced, strict=True):
        _obey(graph, name, replacement)
    nodes.append(helper.make_node("Add", [_FRAME.input, "forced_one"], ["forced_next"]))
    nodes.append(helper.make_node("Mod", ["forced_next", "forced_count"], [_FRAME.output]))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    for values, name in ((graph.input, _FRAME.input), (graph.output, _FRAME.output)):
        values.append(helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", 1]))
    metadata = replace(metadata, state=[*metadata.state, _FRAME])
    onnx.helper.set_model_props(model, metadata.to_props())


def _obey(graph: onnx.GraphProto, output: str, forced: str) -> None:
    """Replace the decisions (N, 1, C) that ``output`` (N, C) is cut out of wherever they count."""
    show = _maker(graph, output)
    decisions = show.input[0]
    for node in graph.node:
        if node is not show:
            for index, name in enumerate(node.input):
                if name == decisions:
                    node.input[index] = forced

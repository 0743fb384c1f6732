"""A stream graph that obeys given policies, frame after frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from adafuse_deploy.engines.graph import read_graph
from adafuse_deploy.metadata import StateTensor, policy_name

_FRAME = StateTensor("forced_frame", "next_forced_frame", (1,), "int32")


def force_stream_policies(path: Path, policies: Sequence[np.ndarray]) -> None:
    """Let the convolutions obey given policies, from the first again after the last.

    The number of the frame becomes one more state.  The policy networks still run, because their
    decisions are outputs of the graph: their time counts.

    Args:
        path: a stream graph, rewritten in place.
        policies: per gate int32 (frames, C).
    """
    model, metadata = read_graph(path)
    graph = model.graph
    nodes = []
    for gate, policy in enumerate(policies):
        name = f"forced_{policy_name(gate)}"
        graph.initializer.append(onnx.numpy_helper.from_array(policy, f"{name}_frames"))
        nodes.append(helper.make_node("Gather", [f"{name}_frames", _FRAME.input], [name]))
        _obey(graph, policy_name(gate), name)
    for name, value in (("forced_one", 1), ("forced_count", len(policies[0]))):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int32), name))
    nodes.append(helper.make_node("Add", [_FRAME.input, "forced_one"], ["forced_next"]))
    nodes.append(helper.make_node("Mod", ["forced_next", "forced_count"], [_FRAME.output]))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    for values, name in ((graph.input, _FRAME.input), (graph.output, _FRAME.output)):
        values.append(helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", 1]))
    metadata = replace(metadata, state=[*metadata.state, _FRAME])
    onnx.helper.set_model_props(model, metadata.to_props())
    onnx.save(model, path)


def _obey(graph: onnx.GraphProto, output: str, forced: str) -> None:
    """Replace the decisions (N, 1, C) that ``output`` (N, C) is cut out of wherever they count."""
    (show,) = (node for node in graph.node if output in node.output)
    decisions = show.input[0]
    for node in graph.node:
        if node is not show:
            for index, name in enumerate(node.input):
                if name == decisions:
                    node.input[index] = forced

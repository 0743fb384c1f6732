"""The graphs that are timed: ours with given policies, and the dense network for the peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from adafuse_deploy.engines.graph import read_graph
from adafuse_deploy.metadata import policy_name


def fix_batch(path: Path, clips: int) -> None:
    """Make the number of clips a constant of the graph, which some runtimes use."""
    model, _ = read_graph(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = clips
    del model.graph.value_info[:]
    onnx.save(model, path)


def force_policies(path: Path, policies: Sequence[np.ndarray]) -> None:
    """Let the convolutions obey given policies.

    The policy networks still run, because their decisions are outputs of the graph: their time
    counts.

    Args:
        path: a graph, rewritten in place.
        policies: per gate int32 (N, T, C).
    """
    model, _ = read_graph(path)
    names = {policy_name(gate): f"forced_{policy_name(gate)}" for gate in range(len(policies))}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    for name, policy in zip(names.values(), policies, strict=True):
        model.graph.initializer.append(onnx.numpy_helper.from_array(policy, name))
    onnx.save(model, path)

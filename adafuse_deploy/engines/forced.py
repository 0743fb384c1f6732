"""Graphs whose convolutions obey given decisions instead of the policy networks'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from adafuse_deploy.metadata import policy_name


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

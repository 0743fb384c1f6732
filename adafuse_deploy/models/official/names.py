"""Weights of the public AdaFuse code by our names."""

from __future__ import annotations

import re

from torch import Tensor

from adafuse_deploy.models.foreign import backbone_of
from adafuse_deploy.models.official.gates import find_gates

_BRANCHES = {
    "1x1": "direct",
    "3x3_reduce": "single_reduce",
    "3x3": "single",
    "double_3x3_reduce": "double_reduce",
    "double_3x3_1": "double1",
    "double_3x3_2": "double2",
    "pool_proj": "project",
}
_STEMS = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2_reduce", "conv2_3x3": "conv2"}

# Official names of modules, and ours; tried in this order.
_RULES = [
    (r"new_fc", "consensus.fc"),
    (r"base_model\.conv1", "backbone.conv1.conv"),
    (r"base_model\.bn1", "backbone.conv1.bn"),
    (r"base_model\.(layer\d+\.\d+)\.conv(\d)", r"backbone.\1.conv\2.conv"),
    (r"base_model\.(layer\d+\.\d+)\.bn(\d)", r"backbone.\1.conv\2.bn"),
    (r"base_model\.(layer\d+\.\d+)\.downsample0", r"backbone.\1.downsample.conv"),
    (r"base_model\.(layer\d+\.\d+)\.downsample1", r"backbone.\1.downsample.bn"),
    (r"base_model\.(layer\d+\.\d+)\.policy_net\.gate_(\w+)", r"backbone.\1.gate1.\2"),
    (r"base_model\.(layer\d+\.\d+)\.policy_net2\.gate_(\w+)", r"backbone.\1.gate2.\2"),
    (r"base_model\.policy_net_(\d\w)\.gate_(\w+)", r"backbone.blocks.\1.gate.\2"),
    *[(rf"base_model\.{theirs}_bn", f"backbone.{ours}.bn") for theirs, ours in _STEMS.items()],
    *[(rf"base_model\.{theirs}", f"backbone.{ours}.conv") for theirs, ours in _STEMS.items()],
    *[
        (rf"base_model\.inception_(\d\w)_{theirs}_bn", rf"backbone.blocks.\1.{ours}.bn")
        for theirs, ours in _BRANCHES.items()
    ],
    *[
        (rf"base_model\.inception_(\d\w)_{theirs}", rf"backbone.blocks.\1.{ours}.conv")
        for theirs, ours in _BRANCHES.items()
    ],
]
# The shared linear layers stand here once more than under the blocks that use them.
_SHARED = re.compile(r"base_model\.gate_fc[01]s\.\d+_\d+\.(weight|bias)")


def has_shared_layers(weights: dict[str, Tensor]) -> bool:
    """Return whether policy networks share linear layers."""
    return any(_SHARED.fullmatch(key) for key in weights)


def convert_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename official weights (without ``module.``) to ours and reorder the actions.

    The public code orders the logits of a channel skip, reuse, keep; we follow the paper, but in
    policy networks of one layer (see :class:`~adafuse_deploy.models.gate.PolicyNetwork`).

    Raises:
        InputError: a policy network has shapes that no option we know gives.
    """
    actions: dict[str, int] = {}
    if any("policy_net" in key for key in weights):
        for gate in find_gates(weights, backbone_of(weights)):
            if gate.layers > 1:
                actions[f"{gate.name}.gate_fc{gate.layers - 1}"] = len(gate.actions)
    converted = {}
    for key, tensor in weights.items():
        if _SHARED.fullmatch(key):
            continue
        count = actions.get(key.rpartition(".")[0])
        converted[_rename(key)] = tensor if count is None else _reordered(tensor, count)
    return converted


def _reordered(rows: Tensor, actions: int) -> Tensor:
    if rows.dim() == 0 or len(rows) % actions:
        return rows  # misshapen, which is reported by its name
    return rows.unflatten(0, (-1, actions)).flip(1).flatten(0, 1)


def _rename(key: str) -> str:
    module, _, parameter = key.rpartition(".")
    for pattern, replacement in _RULES:
        match = re.fullmatch(pattern, module)
        if match:
            return f"{match.expand(replacement)}.{parameter}"
    return key  # unknown: reported as surplus by its own name

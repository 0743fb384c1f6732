"""Checkpoints of the public AdaFuse code (arXiv 2102.05775), bit-faithful.

Such a file holds ``{"state_dict": ...}`` and none of the flags it was trained with.  What keys and
shapes tell is inferred; temporal shift (but for TSM's own networks), frames per clip and input size
leave no trace and are options.  Files of other codes come here by the names of this one, see
:mod:`adafuse_deploy.models.foreign`.
"""

from __future__ import annotations

import os
import re
from typing import Any

from torch import Tensor

from adafuse_deploy.config import ModelConfig, preprocessing_for
from adafuse_deploy.errors import InputError
from adafuse_deploy.models.bninception import BLOCKS
from adafuse_deploy.models.checkpoint import FORMAT, listing, load_weights
from adafuse_deploy.models.foreign import foreign_weights
from adafuse_deploy.models.pickles import load_pickle
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.resnet import DEPTHS

OFFICIAL_QUOTA = 196608

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


def load_official(
    path: str | os.PathLike[str],
    *,
    temporal_shift: bool | None = None,
    num_segments: int = 8,
    size: int = 224,
    class_names: tuple[str, ...] = (),
) -> VideoRecognizer:
    """Load a checkpoint of another code, in evaluation mode.

    The public AdaFuse code, TSM's and mmaction2 (TSN and TSM on a ResNet) are recognised by the
    names in the file.

    Args:
        path: the ``.pth.tar`` or ``.pth`` file.
        temporal_shift: it was trained with ``--shift`` (TSM); None where names tell, or for no.
        num_segments: frames per clip.
        size: side of the square input in pixels.
        class_names: names of the classes, if known.

    Raises:
        InputError: the file is not such a checkpoint, contradicts ``temporal_shift``, or keys are
            missing, surplus or misshapen (all of them listed).
    """
    content = load_pickle(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        raise InputError(
            f"{path} is a checkpoint of adafuse-deploy; it is used as it is, without --official or "
            "convert."
        )
    foreign = foreign_weights(content, str(path))
    if foreign.classes is None:
        raise InputError(
            f"{path} has no classifier of actions: it is {foreign}, from which 'train --init' can "
            "begin."
        )
    config = infer_config(
        foreign.tensors,
        backbone=foreign.backbone,
        num_segments=num_segments,
        size=size,
        class_names=class_names,
        **foreign.shift_fields(temporal_shift),
    )
    model = VideoRecognizer(config)
    load_weights(model, convert_weights(foreign.tensors), f"{path}, {foreign},")
    return model.eval()


def convert_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename official weights (without ``module.``) to ours and reorder the actions.

    The public code orders the three logits of a channel skip, reuse, keep; we follow the paper.
    """
    converted = {}
    for key, tensor in weights.items():
        if _SHARED.fullmatch(key):
            continue
        name, ours = _rename(key), tensor
        if re.search(r"\.gate[12]?\.fc1\.", name):
            ours = tensor.unflatten(0, (-1, 3)).flip(1).flatten(0, 1)
        converted[name] = ours
    return converted


def _rename(key: str) -> str:
    module, _, parameter = key.rpartition(".")
    for pattern, replacement in _RULES:
        match = re.fullmatch(pattern, module)
        if match:
            return f"{match.expand(replacement)}.{parameter}"
    return key  # unknown: reported as surplus by its own name


def infer_config(
    weights: dict[str, Tensor],
    *,
    backbone: str,
    num_segments: int,
    size: int,
    class_names: tuple[str, ...] = (),
    **shift: Any,
) -> ModelConfig:
    """Return the configuration that official weights (without ``module.``) belong to.

    Args:
        weights: by the names of the public code, a classifier among them.
        backbone, shift: fields of the configuration, see :mod:`adafuse_deploy.models.foreign`.
        num_segments, size, class_names: as for :func:`load_official`.

    Raises:
        InputError: the network has options that have no counterpart here (gates in a part of a
            stage, gates without reuse).
    """
    if backbone == "bninception" and size != 224:
        raise InputError("Official BN-Inception checkpoints take 224 x 224 only; use --size 224.")
    values: dict[str, Any] = {
        "backbone": backbone,
        "num_classes": len(weights["new_fc.weight"]),
        "num_segments": num_segments,
        "gated_stages": _gated_stages(weights, backbone),
        "dense_gates": any(".policy_net2." in key for key in weights),
        "shared_policy": any(_SHARED.fullmatch(key) for key in weights),
        "preprocessing": preprocessing_for(backbone, size),
        "class_names": class_names,
        **shift,
    }
    if backbone != "bninception":
        values["width"] = len(weights["base_model.bn1.weight"]) / 64
    if values["gated_stages"]:
        values |= _hidden_units(weights)
    return ModelConfig(**values)


def _gated_stages(weights: dict[str, Tensor], backbone: str) -> tuple[int, ...]:
    if backbone == "bninception":
        gated = {m.group(1) for key in weights if (m := re.search(r"policy_net_(\d\w)\.", key))}
        every = {shape.name for shape in BLOCKS}
    else:
        found = (re.match(r"base_model\.layer(\d\.\d+)\.policy_net\.", key) for key in weights)
        gated = {m.group(1) for m in found if m}
        depths = DEPTHS[backbone]
        every = {f"{stage}.{i}" for stage, depth in enumerate(depths, 1) for i in range(depth)}
    stages = {int(name[0]) for name in gated}
    ungated = sorted(name for name in every - gated if int(name[0]) in stages)
    if ungated:
        raise InputError(
            f"The checkpoint gates only a part of some stages (no gate in {listing(ungated)}); "
            "gates can be chosen per stage only."
        )
    return tuple(sorted(stages))


def _hidden_units(weights: dict[str, Tensor]) -> dict[str, int]:
    """Return the rule behind the policy networks' widths: one size, or a quota per channels."""
    sizes = {
        (tensor.shape[0], weights[key.replace("gate_fc0", "gate_fc1")].shape[0] // 3)
        for key, tensor in weights.items()
        if re.search(r"policy_net\w*\.gate_fc0\.weight$", key)
        and key.replace("gate_fc0", "gate_fc1") in weights
    }
    hidden = {size for size, _ in sizes}
    if len(hidden) == 1:
        return {"gate_hidden": hidden.pop(), "gate_quota": 0}
    for quota in (OFFICIAL_QUOTA, max((size * channels for size, channels in sizes), default=0)):
        if sizes and all(quota // channels == size for size, channels in sizes):
            return {"gate_hidden": 0, "gate_quota": quota}
    raise InputError(
        "The policy networks' hidden sizes follow neither --gate_hidden_dim nor --hidden_quota; "
        "keys or shapes are damaged, or the checkpoint uses options that are not supported."
    )

"""Models by name: ``create_model("adafuse_tsm_resnet50", num_classes=174)``.

Names are ``[adafuse_]<tsn|tsm|tsm_online>[_last]_<backbone>``: with gates or dense, with the
temporal shift of TSM or without, gates in the last stage only or in all.

The dense ``tsm_*`` are the networks of TSM's authors, which shift the input of a block's first
convolution; AdaFuse's shift the input of a downsampling shortcut too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adafuse_deploy.core.config import BACKBONES, ModelConfig, preprocessing_for
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.packages import explained

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer

# The paper's networks share policy networks and bound their size, except with gates in the last
# stage only (public training scripts) and on BN-Inception (14.5 M parameters).
_SHARED = {"gate_hidden": 0, "gate_quota": 196608, "shared_policy": True}
_LAST = {"gated_stages": (4,), "gate_hidden": 1024}
_SHIFTS = {"tsn": "none", "tsm": "bidirectional", "tsm_online": "online"}


def tsm_placement(backbone: str) -> dict[str, Any]:
    """Return where TSM's own networks shift (arXiv 1811.08383, ``--shift_place blockres``)."""
    return {"shift_place": "conv1", "shift_every": 2 if backbone == "resnet101" else 1}


def _variants() -> dict[str, dict[str, Any]]:
    variants: dict[str, dict[str, Any]] = {}
    for backbone in BACKBONES:
        if backbone == "bninception":
            gates = {"gate_hidden": 128, "gated_stages": (3, 4, 5)}
            variants["tsn_bninception"] = {"backbone": backbone, "gated_stages": ()}
            variants["adafuse_tsn_bninception"] = {"backbone": backbone, **gates}
            continue
        for system, shift in _SHIFTS.items():
            common = {"backbone": backbone, "temporal_shift": shift}
            dense = {} if shift == "none" else tsm_placement(backbone)
            variants[f"{system}_{backbone}"] = {**common, **dense, "gated_stages": ()}
            variants[f"adafuse_{system}_{backbone}"] = {**common, **_SHARED}
            variants[f"adafuse_{system}_last_{backbone}"] = {**common, **_LAST}
    return variants


_VARIANTS = _variants()


def model_names() -> list[str]:
    """Return every registered name, sorted."""
    return sorted(_VARIANTS)


def model_config(name: str, *, size: int = 224, **overrides: Any) -> ModelConfig:
    """Return the configuration of a registered model.

    Args:
        name: one of :func:`model_names`.
        size: side of the square input in pixels; sets the preprocessing unless overridden.
        overrides: fields of :class:`~adafuse_deploy.core.config.ModelConfig`.

    Raises:
        InputError: the name is not registered.
    """
    if name not in _VARIANTS:
        raise InputError(f"There is no model {name!r}; choose one of {', '.join(model_names())}.")
    values = {**_VARIANTS[name], **overrides}
    values.setdefault("preprocessing", preprocessing_for(values["backbone"], size))
    return ModelConfig(**values)


def create_model(name: str, **overrides: Any) -> VideoRecognizer:
    """Build a registered model with random weights; arguments as in :func:`model_config`.

    Raises:
        InputError: see :func:`model_config`.
        MissingDependencyError: PyTorch is not installed.
    """
    config = model_config(name, **overrides)
    with explained():
        from adafuse_deploy.models.recognizer import VideoRecognizer
    return VideoRecognizer(config)


def dense_counterpart(config: ModelConfig) -> ModelConfig:
    """Return the configuration of the same network without gates, its shift included.

    With the same weights it computes what the gated network does where every channel is kept.
    """
    return replace(config, gated_stages=())


def dense_peer(config: ModelConfig) -> ModelConfig:
    """Return the configuration of what others deploy on that backbone: TSN's or TSM's network.

    It has the backbone, frames and classes of ``config``, all its channels included where that was
    pruned; benchmarks measure it beside ours.
    """
    dense = replace(dense_counterpart(config), gate_channels={}, plain_gates=())
    shifted = config.temporal_shift != "none"
    return replace(dense, **tsm_placement(config.backbone)) if shifted else dense

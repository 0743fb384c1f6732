"""Starting from trained weights: ImageNet backbones, or TSN, TSM and AdaFuse networks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from adafuse_deploy.errors import InputError
from adafuse_deploy.models.checkpoint import FORMAT, listing, load_pickle
from adafuse_deploy.models.official import convert_weights
from adafuse_deploy.models.recognizer import VideoRecognizer

_GATE = re.compile(r"\.gate[12]?\.")


@dataclass(frozen=True)
class Initialisation:
    """What became of a file of weights.

    Attributes:
        source: what kind of file it was.
        loaded: names of the tensors taken from it.
        new: names of the network's other tensors, which keep their initial values.
        unused: names in the file that were left out: another classifier, gates the network lacks.
    """

    source: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors from {self.source}"
        if self.new:
            text += f"; new: {_parts(self.new)}"
        if self.unused:
            text += f"; left out: {_parts(self.unused)}"
        return text


def initialise(model: VideoRecognizer, path: str | os.PathLike[str]) -> Initialisation:
    """Load the backbone, and classifier and gates where they fit, from a file of weights.

    The file is a checkpoint of ours, a dense TSN or TSM checkpoint of the public code
    (``base_model.layer1.0.conv1.net.weight`` ...), or an ImageNet ``state_dict`` named as
    torchvision's (``layer1.0.conv1.weight`` ...), whose classifier is left out.

    Raises:
        InputError: the file cannot be read or holds no weights, or a tensor of the backbone is
            missing, surplus or misshapen (all of them listed), or gates are misshapen.
    """
    source, weights = _read(path)
    expected = model.state_dict()
    unused = [name for name in weights if not _belongs(name, weights[name], expected)]
    loaded = {name: tensor for name, tensor in weights.items() if name not in unused}
    new = [name for name in expected if name not in loaded]
    problems = [f"missing {name}" for name in new if not _may_be_new(name)]
    problems += [f"surplus {name}" for name in loaded if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in loaded.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if problems:
        raise InputError(
            f"The weights in {path} do not fit a {model.config.backbone} of width "
            f"{model.config.width:g} ({len(problems)} problems): {listing(problems)}"
        )
    model.load_state_dict(loaded, strict=False)
    return Initialisation(source, tuple(loaded), tuple(new), tuple(unused))


def _read(path: str | os.PathLike[str]) -> tuple[str, dict[str, Tensor]]:
    """Return the kind of the file and its weights by our names."""
    content: Any = load_pickle(path)
    ours = isinstance(content, dict) and content.get("format") == FORMAT
    if isinstance(content, dict) and "state_dict" in content:
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise InputError(f"{path} holds no state_dict; give a file of weights.")
    if ours:
        return "a checkpoint of adafuse-deploy", content
    weights = {name.removeprefix("module."): tensor for name, tensor in content.items()}
    if any(name.startswith("base_model.") for name in weights):
        renamed = {_official_name(name): tensor for name, tensor in weights.items()}
        return "a checkpoint of the public code", convert_weights(renamed)
    backbone = {_official_name(f"base_model.{name}"): tensor for name, tensor in weights.items()}
    return "an ImageNet backbone", convert_weights(backbone)


def _official_name(name: str) -> str:
    """Bring names of the TSN and TSM codes and of torchvision to those of the AdaFuse code."""
    name = name.replace(".net.", ".")  # TSM wraps the convolution that it shifts
    return re.sub(r"\.downsample\.([01])\.", r".downsample\1.", name)


def _belongs(name: str, tensor: Tensor, expected: dict[str, Tensor]) -> bool:
    """Return whether a tensor should fit: anything but another classifier or other gates."""
    if _GATE.search(name):
        return name in expected
    if name.startswith("consensus."):
        return name in expected and tensor.shape == expected[name].shape
    return not re.match(r"base_model\.(fc|last_linear|classifier)\.", name)


def _may_be_new(name: str) -> bool:
    return bool(
        _GATE.search(name)
        or name.startswith("consensus.")
        or name.endswith("num_batches_tracked")  # absent from files of early PyTorch
    )


def _parts(names: tuple[str, ...]) -> str:
    parts = {"gates" if _GATE.search(name) else name.rsplit(".", 1)[0] for name in names}
    return listing(sorted(parts), 4)

"""Starting from trained weights: ImageNet backbones, or TSN, TSM and AdaFuse networks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import FORMAT, check_finite, listing
from adafuse_deploy.models.checkpoint_file import load_content
from adafuse_deploy.models.foreign import foreign_weights
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
        note: in which way the network computes otherwise than the file's, or "".
    """

    source: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors from {self.source}"
        if self.new:
            text += f"; new: {_parts(self.new)}"
        if self.unused:
            text += f"; left out: {_parts(self.unused)}"
        return f"{text}; {self.note}" if self.note else text


def initialise(model: VideoRecognizer, path: str | os.PathLike[str]) -> Initialisation:
    """Load the backbone, and classifier and gates where they fit, from a file of weights.

    The file is a checkpoint of ours, of the public AdaFuse code, of TSM's or of mmaction2 (TSN or
    TSM), or an ImageNet ``state_dict`` named as torchvision's, whose classifier is left out; see
    :mod:`adafuse_deploy.models.foreign`.

    Raises:
        InputError: the file cannot be read or holds no weights, or a tensor of the backbone is
            missing, surplus or misshapen (all of them listed), or gates are misshapen.
    """
    source = _read(path)
    weights = source.weights
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
            f"{path} is {source.name}, which does not fit a {model.config.backbone} of width "
            f"{model.config.width:g} ({len(problems)} problems): {listing(problems)}"
        )
    check_finite(loaded, str(path))
    model.load_state_dict(loaded, strict=False)
    note = _shift_note(source.config, model.config)
    return Initialisation(source.name, tuple(loaded), tuple(new), tuple(unused), note)


@dataclass(frozen=True)
class _Source:
    """A file of weights.

    Attributes:
        name: what it is.
        weights: by our names.
        config: says where its network shifts frames; None if that is unknown.
    """

    name: str
    weights: dict[str, Tensor]
    config: ModelConfig | None


def _read(path: str | os.PathLike[str]) -> _Source:
    """Return what the file is and its weights by our names."""
    content: Any = load_content(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return _Source(
            "a checkpoint of adafuse-deploy",
            content["state_dict"],
            ModelConfig.from_dict(content["config"]),
        )
    foreign = foreign_weights(content, str(path))
    config: ModelConfig | None = None
    if foreign.shifted is not None:
        config = ModelConfig(backbone=foreign.backbone, **foreign.shift_fields(None))
    return _Source(str(foreign), convert_weights(foreign.tensors), config)


def _shift_note(given: ModelConfig | None, made: ModelConfig) -> str:
    if given is None or given.shift_text == made.shift_text:
        return ""
    return f"its network has {given.shift_text}, this one {made.shift_text}"


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

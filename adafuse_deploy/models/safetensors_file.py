"""Checkpoints as safetensors: weights that no code runs to read, and in the header what they are.

The header's entry "adafuse" holds, as JSON, the record that graphs carry (configuration, cost
table, gates) and whatever else was stored beside the weights, so that a checkpoint is described
without PyTorch.  Files of other code have weights alone.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.core.json_text import json_text, parse_json
from adafuse_deploy.core.metadata import KEY, GraphMetadata
from adafuse_deploy.models.weight_files import existing

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
_NETWORK, _DIGEST = "network", "weights_sha256"
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Last words of the names of tensors that are no parameters."""


class Header(NamedTuple):
    """What a checkpoint of ours says about itself.

    Attributes:
        metadata: as of a graph; without the hash of the file.
        beside: what else was stored: plain values by name.
        parameters: how many numbers were trained.
        digest: of the weights, see :func:`_digest`.
    """

    metadata: GraphMetadata
    beside: dict[str, Any]
    parameters: int
    digest: str


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is one by its name."""
    return os.fspath(path).endswith(SUFFIX)


def write_safetensors(
    path: str | os.PathLike[str],
    weights: Mapping[str, Tensor],
    metadata: GraphMetadata,
    beside: Mapping[str, Any],
) -> None:
    """Write a checkpoint, atomically; the same content is the same bytes.

    Args:
        path: the file to make.
        weights: of the network.
        metadata: of the network; the hash of the file, which holds it, is left out.
        beside: plain values for JSON.

    Raises:
        InputError: ``path`` cannot be written, or the disk is full.
        TypeError: JSON cannot hold a value.
    """
    import torch
    from safetensors.torch import save

    # Two names of one tensor are stored twice, as loading tells them apart.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    record = {_NETWORK: metadata.to_dict(), _DIGEST: _digest(tensors), **beside}
    # One entry: of several the library shuffles the order.
    content = save(tensors, {KEY: json_text(record, compact=True)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_header(path: str | os.PathLike[str]) -> Header | None:
    """Read what a checkpoint of ours says about itself, without PyTorch; None of other code's.

    Raises:
        InputError: the file is missing, truncated or damaged.
        IncompatibleArtifactError: another version of adafuse-deploy wrote it.
    """
    from safetensors import SafetensorError, safe_open

    path = existing(path)
    try:
        with safe_open(path, "numpy") as file:
            entries = file.metadata() or {}
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    if KEY not in entries:
        return None
    try:
        record = parse_json(entries[KEY])
        metadata = GraphMetadata.from_dict(record.pop(_NETWORK), str(path))
        digest = record.pop(_DIGEST)
    except (ValueError, KeyError, AttributeError, TypeError, InputError) as error:
        raise _damaged(path, f"what it says about itself, {error}") from error
    trained = (shape for name, shape in shapes.items() if not name.endswith(_BUFFERS))
    return Header(metadata, record, sum(map(math.prod, trained)), digest)


def read_safetensors(path: str | os.PathLike[str]) -> tuple[Header | None, dict[str, Tensor]]:
    """Return the header and the weights of a checkpoint, which PyTorch then holds.

    Raises:
        InputError, IncompatibleArtifactError: see :func:`read_header`; or the weights are not those
            that were written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_header(path)
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(Path(path), error) from error
    if header is not None and _digest(weights) != header.digest:
        raise _damaged(Path(path), "its weights are not those that were written")
    return header, weights


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names and values in the order of names; the format has no checksum."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}\n".encode())
        digest.update(weights[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _damaged(path: Path, reason: object) -> InputError:
    return InputError(
        f"{path} is truncated or damaged and cannot be read ({reason}); copy it again."
    )

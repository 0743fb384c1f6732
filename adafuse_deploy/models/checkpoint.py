"""Checkpoints: one file with the weights and everything needed to rebuild the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeGuard

from torch import Tensor, nn

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint_file import FORMAT, VERSION, load_content
from adafuse_deploy.models.metadata import metadata_of
from adafuse_deploy.models.pickles import write_pickle
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.safetensors_file import is_safetensors, write_safetensors

ENTRIES = ("format", "version", "config", "state_dict")
"""What every checkpoint has; the rest is what was stored beside the network."""


def save_checkpoint(model: VideoRecognizer, path: str | os.PathLike[str], **extra: Any) -> None:
    """Write ``model`` to ``path``, atomically.

    Args:
        model: the network; its configuration is stored with the weights.
        path: the file to make: safetensors if its name ends so, else of ``torch.save``.
        extra: more entries of plain values (training state, measured accuracy); ``torch.save``
            takes tensors too.
    """
    if is_safetensors(path):
        write_safetensors(path, model.state_dict(), metadata_of(model), extra)
        return
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": model.config.to_dict(),
        "state_dict": model.state_dict(),
        **extra,
    }
    write_pickle(content, path)


def read_checkpoint(path: str | os.PathLike[str], content: object = None) -> dict[str, Any]:
    """Read the entries of a checkpoint of ours without running any code in it.

    Args:
        path: the checkpoint.
        content: what :func:`~adafuse_deploy.models.checkpoint_file.load_content` gave for it, if
            it did.

    Raises:
        InputError: the file is missing, truncated, not a checkpoint, or not one of ours.
    """
    content = load_content(path) if content is None else content
    if not is_ours(content):
        from adafuse_deploy.models.foreign import foreign_weights

        found = foreign_weights(content, str(path))
        raise InputError(
            f"{path} is not a checkpoint of adafuse-deploy but {found}; 'adafuse-deploy convert' "
            "makes one of it."
        )
    if content.get("version") != VERSION:
        raise InputError(
            f"{path} has checkpoint version {content.get('version')}, this adafuse-deploy reads "
            f"{VERSION}; upgrade it."
        )
    return content


def is_ours(content: object) -> TypeGuard[dict[str, Any]]:
    """Return whether adafuse-deploy wrote the file with this content, or other code."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def load_model(path: str | os.PathLike[str], content: object = None) -> VideoRecognizer:
    """Load the network in a checkpoint, in evaluation mode on the CPU.

    Args:
        path: as of :func:`read_checkpoint`.
        content: likewise.

    Raises:
        InputError: see :func:`read_checkpoint`; also weights that do not fit the configuration.
    """
    checkpoint = read_checkpoint(path, content)
    model = VideoRecognizer(ModelConfig.from_dict(checkpoint["config"]))
    load_weights(model, checkpoint["state_dict"], str(path))
    return model.eval()


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load ``weights`` into ``model``; every key must exist on both sides with the same shape.

    Raises:
        InputError: lists all missing, surplus and misshapen keys at once; or a weight is NaN or
            infinite.
    """
    check_fit(model.state_dict(), weights, source)
    check_finite(weights, source)
    model.load_state_dict(dict(weights))


def check_fit(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str) -> None:
    """Check that ``weights`` have the names and shapes of ``expected``.

    Raises:
        InputError: lists all missing, surplus and misshapen keys at once.
    """
    problems = [f"missing {key}" for key in expected if key not in weights]
    problems += [f"surplus {key}" for key in weights if key not in expected]
    problems += [
        f"{key} has shape {tuple(weights[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if problems:
        raise InputError(
            f"The weights in {source} do not fit the network; they are of another architecture or "
            f"configuration ({len(problems)} problems): {listing(problems)}"
        )


def check_finite(weights: Mapping[str, Tensor], source: str) -> None:
    """Raise :class:`InputError` if a weight is NaN or infinite, or a variance negative, by name."""
    name = first_not_finite(weights)
    if name is not None:
        raise InputError(
            f"{source} holds NaN or infinite weights, first in {name}: its training diverged "
            "or the file is damaged; take an earlier checkpoint, or train with a lower rate."
        )
    for name, tensor in weights.items():
        if name.endswith("running_var") and (tensor < 0).any():
            raise InputError(
                f"{source} holds negative variances, in {name}; the file is damaged: copy it again."
            )


def first_not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity, if any does."""
    return next((name for name, tensor in weights.items() if not tensor.isfinite().all()), None)


def listing(items: list[str], most: int = 20) -> str:
    """Return the items joined by semicolons, cut after ``most`` with a count of the rest."""
    rest = f"; and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + rest

"""Checkpoints: one file with the weights and everything needed to rebuild the network."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adafuse_deploy.config import ModelConfig
from adafuse_deploy.errors import InputError
from adafuse_deploy.files import atomic_path
from adafuse_deploy.models.recognizer import VideoRecognizer

FORMAT = "adafuse-deploy"
VERSION = 1


def save_checkpoint(model: VideoRecognizer, path: str | os.PathLike[str], **extra: Any) -> None:
    """Write ``model`` to ``path``, atomically.

    Args:
        model: the network; its configuration is stored with the weights.
        path: the file to make.
        extra: more entries of plain values and tensors (training state, measured accuracy).
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": model.config.to_dict(),
        "state_dict": model.state_dict(),
        **extra,
    }
    write_pickle(content, path)


def write_pickle(content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write plain values and tensors for :func:`load_pickle`, atomically.

    Raises:
        InputError: ``path`` cannot be written, or the disk is full.
    """
    # Into an open file: given a name, PyTorch reports a full disk as an internal error of its own.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the entries of a checkpoint of ours without running any code in it.

    Raises:
        InputError: the file is missing, truncated, not a checkpoint, or not one of ours.
    """
    content = load_pickle(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        hint = ""
        if isinstance(content, dict) and "state_dict" in content:
            hint = " If the public AdaFuse code wrote it, add --official."
        raise InputError(f"{path} is not a checkpoint of adafuse-deploy.{hint}")
    if content.get("version") != VERSION:
        raise InputError(
            f"{path} has checkpoint version {content.get('version')}, this adafuse-deploy reads "
            f"{VERSION}; upgrade it."
        )
    return content


def load_model(path: str | os.PathLike[str]) -> VideoRecognizer:
    """Load the network in a checkpoint, in evaluation mode on the CPU.

    Raises:
        InputError: see :func:`read_checkpoint`; also weights that do not fit the configuration.
    """
    content = read_checkpoint(path)
    model = VideoRecognizer(ModelConfig.from_dict(content["config"]))
    load_weights(model, content["state_dict"], str(path))
    return model.eval()


def load_pickle(path: str | os.PathLike[str]) -> Any:
    """Return what ``torch.save`` wrote to ``path``, refusing anything but plain data.

    Raises:
        InputError: the file is missing, truncated, or would have to run code to load.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; check the path.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is not a readable checkpoint: it is no PyTorch file, or it holds Python "
            "objects other than tensors and plain values, which are refused because loading them "
            "could run code; save its state_dict alone."
        ) from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is truncated or damaged and cannot be read; copy it again."
        ) from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load ``weights`` into ``model``; every key must exist on both sides with the same shape.

    Raises:
        InputError: lists all missing, surplus and misshapen keys at once.
    """
    expected = model.state_dict()
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
    model.load_state_dict(dict(weights))


def listing(items: list[str], most: int = 20) -> str:
    """Return the items joined by semicolons, cut after ``most`` with a count of the rest."""
    rest = f"; and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + rest

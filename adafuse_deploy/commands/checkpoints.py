"""The options by which a verb takes a checkpoint, ours or one of other code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from adafuse_deploy.commands.options import FILE
from adafuse_deploy.errors import InputError

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer

DESCRIPTION = ("official", "temporal_shift", "num_segments", "size", "classes")
"""The options of a checkpoint, which the next command needs again."""

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--official",
        is_flag=True,
        help="CHECKPOINT is of the public AdaFuse code, TSM's or mmaction2. [found out]",
    ),
    click.option(
        "--temporal-shift", is_flag=True, help="Of other code's: it was trained with --shift (TSM)."
    ),
    click.option(
        "--num-segments", type=click.IntRange(1), help="Of other code's: frames per clip [8]."
    ),
    click.option("--size", type=click.IntRange(1), help="Side of the input in pixels [224]."),
    click.option("--classes", type=FILE, help="File with the names of the classes."),
]


def checkpoint_options(command: Command) -> Command:
    """Add ``--official`` with the options that describe such a file, ``--size``, ``--classes``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_checkpoint(
    path: Path,
    *,
    official: bool,
    temporal_shift: bool,
    num_segments: int | None,
    size: int | None,
    classes: Path | None,
) -> VideoRecognizer:
    """Load the network that the options of :func:`checkpoint_options` describe.

    Raises:
        InputError: the checkpoint or class file cannot be used, or an option contradicts it.
    """
    from adafuse_deploy.config import Preprocessing
    from adafuse_deploy.data.class_files import read_class_names
    from adafuse_deploy.models.checkpoint import is_ours, load_model
    from adafuse_deploy.models.official import load_official

    names = read_class_names(classes) if classes else ()
    if official or not is_ours(path):
        return load_official(
            path,
            temporal_shift=temporal_shift or None,
            num_segments=num_segments or 8,
            size=size or 224,
            class_names=names,
        )
    if temporal_shift or num_segments:
        raise InputError(
            "--temporal-shift and --num-segments describe a checkpoint of other code; this one "
            "records them itself: leave them out."
        )
    model = load_model(path)
    config = model.config
    if names:
        config = replace(config, class_names=names)
    if size:
        old = config.preprocessing
        resized = {**old.__dict__, "crop": size, "resize": round(size * old.resize / old.crop)}
        config = replace(config, preprocessing=Preprocessing(**resized))
    model.config = config
    return model

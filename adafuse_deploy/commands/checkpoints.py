"""The options by which a verb takes a checkpoint, ours or one of other code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from adafuse_deploy.commands.options import FILE, Number
from adafuse_deploy.commands.output import note
from adafuse_deploy.core.errors import InputError

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer

_OF_OTHER_CODE = (
    "arguments",
    "temporal_shift",
    "shift_div",
    "gate_relu",
    "gate_pooling",
    "num_segments",
)
DESCRIPTION = ("official", *_OF_OTHER_CODE, "size", "classes", "frame_spacing")
"""The options of a checkpoint, which the next command needs again."""

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--official",
        is_flag=True,
        help="CHECKPOINT is of the public AdaFuse code, TSM's or mmaction2. [found out]",
    ),
    click.option(
        "--args",
        "arguments",
        type=FILE,
        help="Of other code's: the options of its training run. [RUN/args.txt of CHECKPOINT's run]",
    ),
    click.option(
        "--temporal-shift/--no-temporal-shift",
        default=None,
        help="Of other code's: it was trained with --shift (TSM) or without (TSN).",
    ),
    click.option(
        "--shift-div",
        type=click.IntRange(2),
        help="Of other code's TSM: one of so many channels is shifted each way. [8]",
    ),
    click.option(
        "--gate-relu/--no-gate-relu",
        default=None,
        help="Of other code's: it was trained with --grelu or without. [with]",
    ),
    click.option(
        "--gate-pooling",
        type=click.Choice(["average", "max"]),
        help="Of other code's: its --gate_reduce_type. [average]",
    ),
    click.option(
        "--num-segments", type=click.IntRange(1), help="Of other code's: frames per clip. [8]"
    ),
    click.option("--size", type=click.IntRange(1), help="Side of the input in pixels. [224]"),
    click.option("--classes", type=FILE, help="File with the names of the classes."),
    click.option(
        "--frame-spacing",
        type=Number(0, min_open=True),
        metavar="SECONDS",
        help="From a clip's frame to the next in training. [what CHECKPOINT records]",
    ),
]


def checkpoint_options(command: Command) -> Command:
    """Add ``--official`` with the options that describe such a file, and those of any."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_checkpoint(
    path: Path, *, guess_shift: bool = False, content: object = None, **options: Any
) -> VideoRecognizer:
    """Load the network that the options of :func:`checkpoint_options` describe.

    Of a checkpoint of other code it is said what nothing told.

    Args:
        path: the checkpoint.
        guess_shift: assume that there is no temporal shift if nothing tells.
        content: what :func:`~adafuse_deploy.models.checkpoint_file.load_content` gave for it, if
            it did.
        options: those of :data:`DESCRIPTION`.

    Raises:
        InputError: the checkpoint or class file cannot be used, or an option contradicts it.
    """
    from adafuse_deploy.core.config import Preprocessing
    from adafuse_deploy.core.frame_spacing import FrameSpacing
    from adafuse_deploy.data.class_files import read_class_names
    from adafuse_deploy.models.checkpoint import is_ours, load_model
    from adafuse_deploy.models.checkpoint_file import load_content
    from adafuse_deploy.models.official import read_official

    content = load_content(path) if content is None else content
    names = read_class_names(options["classes"]) if options["classes"] else ()
    described = {name: options[name] for name in _OF_OTHER_CODE}
    size, seconds = options["size"], options["frame_spacing"]
    spacing = FrameSpacing.constant(seconds) if seconds else None
    if options["official"] or not is_ours(content):
        official = read_official(
            path,
            size=size,
            class_names=names,
            guess_shift=guess_shift,
            content=content,
            **described,
        )
        note(str(official))
        official.model.config = replace(official.model.config, frame_spacing=spacing)
        return official.model
    given = [name for name, value in described.items() if value is not None]
    if given:
        flags = ", ".join(option.replace("_", "-") for option in given).replace("arguments", "args")
        raise InputError(
            f"Options such as these ({flags}) describe a checkpoint of other code; this one "
            "records everything itself: leave them out."
        )
    model = load_model(path, content)
    config = model.config
    if names:
        config = replace(config, class_names=names)
    if size:
        old = config.preprocessing
        resized = {**old.__dict__, "crop": size, "resize": round(size * old.resize / old.crop)}
        config = replace(config, preprocessing=Preprocessing(**resized))
    model.config = replace(config, frame_spacing=spacing or config.frame_spacing)
    return model

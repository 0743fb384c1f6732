"""The options by which a verb reads a list of videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from adafuse_deploy.commands.options import FOLDER, Number, OutputFile

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading

Command = TypeVar("Command", bound=Callable[..., Any])

template_option = click.option(
    "--template", help="Names of the images in folders, such as 'img_{:05d}.jpg' [found out]."
)
strict_option = click.option(
    "--strict-frames",
    is_flag=True,
    help="Refuse video files with frames that the decoder marks as damaged.",
)
source_rate_option = click.option(
    "--source-rate",
    type=Number(0, min_open=True),
    metavar="FPS",
    help="Frames per second of what tells no time, such as folders of images.",
)

lists_option = click.option(
    "--lists", type=FOLDER, help="With --dataset: folder of its published lists."
)
frames_option = click.option("--frames", type=FOLDER, help="With --dataset: folder of its frames.")

_OPTIONS = [
    click.option("--root", type=FOLDER, help="Folder that the list's paths start from [its own]."),
    template_option,
    click.option(
        "--first-label",
        type=click.IntRange(0, 1),
        help="Number of the first class in the list [found out].",
    ),
    click.option(
        "--skip-missing",
        is_flag=True,
        help="Read every video once before the work, and leave out missing and broken ones.",
    ),
    click.option(
        "--skipped-file", type=OutputFile(), help="File to name those in [LIST with .skipped.txt]."
    ),
    strict_option,
]


def list_options(command: Command) -> Command:
    """Add the options that say how lists are read; ``command`` gets them as one ``reading``.

    ``reading`` is an :class:`adafuse_deploy.data.lists.ListReading`.
    """

    @wraps(command)
    def with_reading(*arguments: Any, **values: Any) -> Any:
        from adafuse_deploy.data.lists import ListReading

        chosen = {field.name: values.pop(field.name) for field in fields(ListReading)}
        return command(*arguments, reading=ListReading(**chosen), **values)

    for option in reversed(_OPTIONS):
        with_reading = option(with_reading)
    return with_reading  # type: ignore[return-value]


def refuse_without_list(reading: ListReading) -> None:
    """Refuse the options of :func:`list_options` where no list was given."""
    for field in fields(reading):
        if getattr(reading, field.name) != field.default:
            option = field.name.replace("_", "-")
            raise click.UsageError(f"--{option} belongs to --data; give both, or leave it out.")

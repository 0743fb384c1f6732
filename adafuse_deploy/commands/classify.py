"""``adafuse-deploy classify``: the action in a video, in many, or from moment to moment.

Each of the three has a file of its own, with what it does: :mod:`video_labels`,
:mod:`label_table` and :mod:`video_timeline`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adafuse_deploy.commands.lists import (
    list_options,
    refuse_without_list,
    source_rate_option,
)
from adafuse_deploy.commands.options import (
    ANY_PATH,
    FILE,
    THREADS,
    ModelFile,
    Number,
    NumberOr,
    OutputFile,
    html_option,
    json_option,
    verb,
)
from adafuse_deploy.core.tables import TABLE_SUFFIXES
from adafuse_deploy.engines.suffixes import CHECKPOINTS, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading


@verb(
    epilog="\b\nExamples:\n"
    "  adafuse-deploy classify video.mp4 --model model.onnx --top 5\n"
    "  adafuse-deploy classify --data list.txt --model model.onnx --json answers.json\n"
    "  adafuse-deploy classify clips/ 'more/**/*.mkv' --model model.onnx --output labels.csv"
)
@click.argument("videos", metavar="[VIDEO]...", type=ANY_PATH, nargs=-1)
@click.option(
    "--model",
    type=ModelFile(*GRAPHS, *CHECKPOINTS),
    required=True,
    help="A graph, an engine or a checkpoint; or a repository on Hugging Face: owner/name.",
)
@click.option("--data", type=FILE, help="Instead of VIDEO: a list of videos; labels are not used.")
@list_options
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to show."
)
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run a graph on the operator library (default) or on its function bodies.",
)
@click.option("--threads", type=THREADS, help="Threads of the runtime [all; with --ray: 1].")
@click.option(
    "--output",
    type=OutputFile(*TABLE_SUFFIXES),
    metavar="FILE",
    help="Write a row for every video to FILE: .csv, .jsonl or .parquet.",
)
@click.option(
    "--resume", is_flag=True, help="With --output: continue work that was ended in the middle."
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="With --output: processes that read videos [one for each processor]; with --ray: for each "
    "engine [1].",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="With --output: label on a Ray cluster; auto is the one of this machine.",
)
@click.option(
    "--engines",
    "most_engines",
    type=click.IntRange(1),
    help="With --ray: engines at a time [as many as there is room for].",
)
@click.option(
    "--window",
    type=NumberOr("auto", 0),
    metavar="SECONDS|auto",
    help="What happens when in one long VIDEO: recognise every so many seconds; auto: as many as "
    "MODEL's clips had in training.",
)
@click.option(
    "--stride",
    type=Number(0, min_open=True),
    metavar="SECONDS",
    help="With --window: begin a window every so many seconds [after the one before].",
)
@click.option(
    "--save",
    type=OutputFile(".mp4", ".mkv", ".mov"),
    metavar="FILE",
    help="With --window: write the video with what was recognised on every frame.",
)
@source_rate_option
@json_option
@html_option
def command(
    videos: tuple[str, ...],
    model: Path,
    data: Path | None,
    top: int,
    operator_library: bool,
    threads: int | None,
    output: Path | None,
    resume: bool,
    workers: int | None,
    ray: str | None,
    most_engines: int | None,
    window: float | str | None,
    stride: float | None,
    save: Path | None,
    source_rate: float | None,
    json_file: str | None,
    html_file: Path | None,
    reading: ListReading,
) -> None:
    """Recognise the action in VIDEO: a video file or a folder of numbered frames.

    With --output any number of videos: files, folders of frames, folders with video files in and
    below them, patterns in quotes and list files.  Every one gets a row; one that cannot be used
    has an error in it, and the exit code is 1.  Work that was killed continues with --resume.

    With --window a timeline of one long video: spans of one class, from windows of so many seconds.
    """
    from adafuse_deploy.engines.loader import load_engine

    load = partial(load_engine, model, operator_library=operator_library, threads=threads)
    if most_engines is not None and ray is None:
        raise click.UsageError("--engines belongs to --ray; give it too.")
    many = resume or workers is not None or ray is not None
    if window is not None:
        if len(videos) != 1 or data is not None or many:
            raise click.UsageError(
                "--window takes one VIDEO, without --data, --resume, --workers and --ray."
            )
        from adafuse_deploy.commands.video_timeline import video_timeline

        _refuse_list_options(reading)
        with load() as engine:
            video_timeline(
                engine,
                model,
                videos[0],
                window,
                stride,
                reading=reading,
                rate=source_rate,
                output=output,
                save=save,
                json_file=json_file,
                html_file=html_file,
            )
        return
    if stride is not None or save is not None or source_rate is not None:
        raise click.UsageError(
            "--stride, --save and --source-rate belong to --window; give it too."
        )
    if output is not None:
        if reading.skip_missing or reading.skipped_file or not (videos or data):
            raise click.UsageError(
                "--output takes videos, with or without --data, and no --skip-missing: what is "
                "missing has a row."
            )
        from adafuse_deploy.commands.label_table import label_table

        label_table(
            [*videos, *([str(data)] if data else [])],
            output,
            model=model,
            operator_library=operator_library,
            threads=threads,
            reading=reading,
            top=top,
            workers=workers,
            resume=resume,
            ray=ray,
            engines=most_engines,
            json_file=json_file,
            html_file=html_file,
        )
        return
    if many:
        raise click.UsageError("--resume, --workers and --ray belong to --output; give it too.")
    if len(videos) > 1:
        raise click.UsageError("Several videos get a table; name it with --output.")
    if bool(videos) == (data is not None):
        raise click.UsageError("Give a VIDEO, or a list of videos with --data.")
    from adafuse_deploy.commands.video_labels import label_list, label_video

    if data is not None:
        with load() as engine:
            label_list(
                engine,
                data,
                model,
                reading=reading,
                top=top,
                json_file=json_file,
                html_file=html_file,
            )
        return
    from adafuse_deploy.data.inputs import LIST_SUFFIXES

    if videos[0].lower().endswith(LIST_SUFFIXES):
        raise click.UsageError(f"{videos[0]} is a list, not a video; give it with --data.")
    _refuse_list_options(reading)
    with load() as engine:
        label_video(
            engine,
            videos[0],
            model,
            reading=reading,
            top=top,
            json_file=json_file,
            html_file=html_file,
        )


def _refuse_list_options(reading: ListReading) -> None:
    """Refuse the options of lists but those that a single video has too."""
    refuse_without_list(replace(reading, template=None, strict_frames=False))

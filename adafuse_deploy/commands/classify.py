"""``adafuse-deploy classify``: the action in a video, or in many."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.lists import (
    list_options,
    refuse_without_list,
    source_rate_option,
)
from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import (
    ANY_PATH,
    FILE,
    ModelFile,
    Number,
    NumberOr,
    OutputFile,
    json_option,
    verb,
)
from adafuse_deploy.commands.output import note, report, talkative
from adafuse_deploy.core.tables import TABLE_SUFFIXES
from adafuse_deploy.engines.suffixes import CHECKPOINTS, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.engines.classification import Classification
    from adafuse_deploy.engines.engine import Engine


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
@click.option("--threads", type=click.IntRange(1), help="Threads of the runtime.")
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
    help="With --output: processes that read videos [one for each processor].",
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
    window: float | str | None,
    stride: float | None,
    save: Path | None,
    source_rate: float | None,
    json_file: str | None,
    reading: ListReading,
) -> None:
    """Recognise the action in VIDEO: a video file or a folder of numbered frames.

    With --output any number of videos: files, folders of frames, folders with video files in and
    below them, patterns in quotes and list files.  Every one gets a row; one that cannot be used
    has an error in it, and the exit code is 1.  Work that was killed continues with --resume.

    With --window a timeline of one long video: spans of one class, from windows of so many seconds.
    """
    from adafuse_deploy.core.cost import dense_macs
    from adafuse_deploy.data.inputs import LIST_SUFFIXES
    from adafuse_deploy.engines.loader import load_engine

    load = partial(load_engine, model, operator_library=operator_library, threads=threads)
    if window is not None:
        if len(videos) != 1 or data is not None or resume or workers is not None:
            raise click.UsageError(
                "--window takes one VIDEO, without --data, --resume and --workers."
            )
        from adafuse_deploy.commands.video_timeline import video_timeline

        refuse_without_list(replace(reading, template=None, strict_frames=False))
        with load() as engine:
            video_timeline(
                engine,
                videos[0],
                window,
                stride,
                reading=reading,
                rate=source_rate,
                output=output,
                save=save,
                json_file=json_file,
            )
        return
    if stride is not None or save is not None or source_rate is not None:
        raise click.UsageError(
            "--stride, --save and --source-rate belong to --window; give it too."
        )
    if output is not None:
        if json_file or reading.skip_missing or reading.skipped_file or not (videos or data):
            raise click.UsageError(
                "--output takes videos, with or without --data, and neither --json nor "
                "--skip-missing: what is missing has a row."
            )
        from adafuse_deploy.commands.label_table import label_table

        inputs = [*videos, *([str(data)] if data else [])]
        with load() as engine:
            label_table(
                engine,
                inputs,
                output,
                model=str(model),
                reading=reading,
                top=top,
                workers=workers,
                resume=resume,
            )
        return
    if resume or workers is not None:
        raise click.UsageError("--resume and --workers belong to --output; give it too.")
    if len(videos) > 1:
        raise click.UsageError("Several videos get a table; name it with --output.")
    video = videos[0] if videos else None
    if (video is None) == (data is None):
        raise click.UsageError("Give a VIDEO, or a list of videos with --data.")
    if video is not None and video.lower().endswith(LIST_SUFFIXES):
        raise click.UsageError(f"{video} is a list, not a video; give it with --data.")
    if data is None:
        refuse_without_list(replace(reading, template=None, strict_frames=False))
    with load() as engine:
        metadata, name = engine.metadata, engine.name
        dense = dense_macs(metadata.layers, metadata.config.num_segments)
        if data is not None:
            answers = _listed(engine, data, reading, top)
        elif video is not None:
            template, strict = reading.template, reading.strict_frames
            answers = [(video, engine.classify(video, top=top, template=template, strict=strict))]
    values: list[dict[str, Any]] = [
        {
            "video": path,
            "top": [
                {"label": label.name, "class": label.index, "probability": label.probability}
                for label in answer
            ],
            "macs": int(answer.prediction.macs[0]),
        }
        for path, answer in answers
    ]
    if video is None:
        lines = [f"{answer.best}  {path}" for path, answer in answers]
        report({"engine": name, "videos": values, "dense_macs": dense}, lines, json_file)
    else:
        lines = [f"{label.probability:7.1%}  {label.name}" for label in answers[0][1]]
        report({"engine": name, **values[0], "dense_macs": dense}, lines, json_file)
    needed = sum(entry["macs"] for entry in values) / len(values)
    note(f"{needed / 1e9:.3f} of {dense / 1e9:.3f} GMACs on {name}.")
    advise("inspect", model)


def _listed(
    engine: Engine, data: Path, reading: ListReading, top: int
) -> list[tuple[str, Classification]]:
    """Return the videos of a list and what they show."""
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.engines.classification import classifications

    config = engine.metadata.config
    listed = ListedClips(config, data, reading=reading, labels="unused")
    answers = []
    clips = progress(listed, "classifying", show=talkative(), unit="videos")
    for path, (clip, _) in zip(listed.videos, clips, strict=True):
        (answer,) = classifications(engine.run(clip[None]), config, top)
        answers.append((path, answer))
    return answers

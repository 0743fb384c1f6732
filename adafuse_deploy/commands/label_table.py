"""What ``classify --output`` does: many videos to a table, one row each, here or on a cluster."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.commands.output import made, note, report, talkative
from adafuse_deploy.core.errors import CheckFailed, InputError, InputWarning

if TYPE_CHECKING:
    from adafuse_deploy.data.inputs import Video
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.engines.engine import Engine
    from adafuse_deploy.engines.labelling import Labeller, LabelOptions

_ERRORS = 100
"""How many videos that cannot be used a summary names; the table has all."""


def label_table(
    inputs: Sequence[str],
    output: Path,
    *,
    model: Path,
    operator_library: bool,
    threads: int | None,
    reading: ListReading,
    top: int,
    workers: int | None,
    resume: bool,
    ray: str | None,
    engines: int | None,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Label the videos that ``inputs`` stand for and write ``output``.

    Rows are kept in a journal beside it until all are there.  A summary is written to ``json_file``
    and ``html_file``, for which the first videos are recognised once more.

    Raises:
        InputError: there is no video, a file cannot be written, or ``resume`` finds a table of
            other videos.
        CheckFailed: some videos have no label; the table is written, and their rows say why.
        MissingDependencyError: a package for this kind of table, or Ray, is not installed.
    """
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.core.journal import journal_path
    from adafuse_deploy.core.process import usable_processors
    from adafuse_deploy.core.tables import check_table
    from adafuse_deploy.data.inputs import find_videos
    from adafuse_deploy.engines.labelling import LabelOptions
    from adafuse_deploy.engines.loader import load_engine

    check_table(output)
    videos = find_videos(inputs, reading.root)
    if resume and output.exists() and not journal_path(output).exists():
        if json_file or html_file:
            raise InputError(
                f"{output} is complete, and a summary is made together with a table: label again "
                "without --resume, or leave out --json and --html."
            )
        _look_through(output, videos)
        return
    if workers is None:
        workers = 1 if ray else usable_processors()
    options = LabelOptions(top, workers, reading.template, reading.strict_frames)
    with _labeller(model, operator_library, threads, options, ray, engines) as labeller:
        task: dict[str, Any] = {
            "model": sha256(model),
            "engine": labeller.engine_name,
            "top": min(top, labeller.config.num_classes),
            "template": reading.template,
            "strict_frames": reading.strict_frames,
        }
        rows = _rows(labeller, videos, output, task, resume)
    made(f"Wrote {output}: {len(rows)} videos.")
    if json_file or html_file:
        with load_engine(model, operator_library=operator_library, threads=threads) as engine:
            _summary(engine, model, output, rows, reading, json_file, html_file)
    _sum_up(output, rows)


@contextmanager
def _labeller(
    model: Path,
    operator_library: bool,
    threads: int | None,
    options: LabelOptions,
    ray: str | None,
    engines: int | None,
) -> Iterator[Labeller]:
    """Open an engine here, or join a cluster."""
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.engines.labelling import LocalLabeller
    from adafuse_deploy.engines.loader import load_engine

    if ray is None:
        with (
            load_engine(model, operator_library=operator_library, threads=threads) as engine,
            LocalLabeller(engine, options) as local,
        ):
            yield local
        return
    from adafuse_deploy.engines.cluster import Cluster, EngineOfWorker

    worker = EngineOfWorker(
        str(model.absolute()), sha256(model), operator_library, threads or 1, options
    )
    # Ray prints on standard output what becomes of its workers.
    with redirect_stdout(sys.stderr), Cluster(ray, worker, engines) as cluster:
        if not cluster.places:
            needs = f"{worker.cpus} processors and {worker.gpus} GPUs"
            note(f"No node of the cluster has {needs} for an engine now; waiting for one.")
        yield cluster


def _rows(
    labeller: Labeller, videos: list[Video], output: Path, task: dict[str, Any], resume: bool
) -> list[dict[str, Any]]:
    """Label what the journal does not have, write the table, and return its rows."""
    from adafuse_deploy.core.journal import Journal
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.core.tables import write_table
    from adafuse_deploy.engines.labelling import label_columns

    journal = Journal(output, task, key="path", resume=resume)
    done = False
    try:
        left = [video for video in videos if video.path not in journal.rows]
        if len(left) < len(videos):
            note(f"{len(videos) - len(left)} of {len(videos)} videos are labelled already.")
        with progress(label="classifying", show=talkative(), total=len(left), unit="videos") as bar:
            for video in labeller.label(left):
                for sentence in video.warnings:
                    warnings.warn(InputWarning(sentence), stacklevel=2)
                for sentence in video.notes:
                    logging.getLogger("adafuse_deploy.data").info(sentence)
                journal.add(video.row)
                bar.update()
        rows = [journal.rows[video.path] for video in videos]
        write_table(output, label_columns(task["top"]), rows)
        done = True
    finally:
        journal.close(done=done)
    return rows


def _look_through(output: Path, videos: list[Video]) -> None:
    """Say that a table is there already, if it is of these videos."""
    from adafuse_deploy.core.tables import read_column, text_in_table

    there = set(read_column(output, "path"))
    missing = [video for video in videos if text_in_table(output, video.path) not in there]
    if missing or len(there) > len(videos):
        what = (
            f"no row for {len(missing)} of {len(videos)} videos, such as {missing[0].path}"
            if missing
            else f"rows for {len(there)} videos, not {len(videos)}"
        )
        raise InputError(f"{output} is complete and has {what}; choose another name for a new one.")
    note(f"{output} is complete: there is nothing to resume.")
    errors = read_column(output, "error")
    _refuse(output, len(errors) - errors.count(None), len(errors))


def _summary(
    engine: Engine,
    model: Path,
    output: Path,
    rows: Sequence[dict[str, Any]],
    reading: ListReading,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Write what the table says in all, and where the network computed in its first videos."""
    from adafuse_deploy.commands.circumstances import circumstances
    from adafuse_deploy.commands.video_labels import label_counts, page_of, watching
    from adafuse_deploy.core.cost import dense_macs
    from adafuse_deploy.data.clips import open_clip
    from adafuse_deploy.report.seen import SHOWN

    config = engine.metadata.config
    used = [row for row in rows if row["error"] is None]
    failed = [row for row in rows if row["error"] is not None]
    first = [row["path"] for row in used[:SHOWN]]
    seen = watching(engine, first.__getitem__, html_file)
    for path in first:
        clip = open_clip(path, config.num_segments, config.preprocessing, template=reading.template)
        seen.add(clip[None], engine.run(clip[None]))
    dense = dense_macs(engine.metadata.layers, config.num_segments)
    needed = 1e9 * sum(row["gmacs"] for row in used) / len(used) if used else None
    values = {
        "engine": engine.name,
        "output": str(output),
        "videos_labelled": len(used),
        "videos_failed": len(failed),
        "labels": label_counts(row["label_1"] for row in used),
        "errors": [{"video": row["path"], "error": row["error"]} for row in failed[:_ERRORS]],
        "dense_macs": dense,
        "mean_macs": needed,
        "macs_share": None if needed is None else 1 - needed / dense,
        **seen.to_dict(),
        **circumstances([model]),
    }
    report(values, [], json_file, html_file, lambda found: page_of(found, seen.pictures))


def _sum_up(output: Path, rows: Sequence[dict[str, Any]]) -> None:
    used = [row["gmacs"] for row in rows if row["error"] is None]
    if used:
        note(f"{sum(used) / len(used):.3f} GMACs per video.")
    _refuse(output, len(rows) - len(used), len(rows))


def _refuse(output: Path, failed: int, count: int) -> None:
    if failed:
        raise CheckFailed(
            f"{failed} of {count} videos could not be labelled; the column 'error' of {output} "
            "says why."
        )

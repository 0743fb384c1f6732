"""What ``classify --output`` does: many videos to a table, one row each."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.commands.output import made, note, talkative
from adafuse_deploy.core.errors import CheckFailed, InputWarning

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.engines.engine import Engine


def label_table(
    engine: Engine,
    inputs: Sequence[str],
    output: Path,
    *,
    model: str,
    reading: ListReading,
    top: int,
    workers: int | None,
    resume: bool,
) -> None:
    """Label the videos that ``inputs`` stand for and write ``output``.

    Rows are kept in a journal beside it until all are there.

    Raises:
        InputError: there is no video, or a file cannot be written.
        CheckFailed: some videos have no label; the table is written, and their rows say why.
    """
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.core.journal import Journal, journal_path
    from adafuse_deploy.core.process import usable_processors
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.core.tables import check_table, write_table
    from adafuse_deploy.data.clip_workers import ClipSettings
    from adafuse_deploy.data.inputs import find_videos
    from adafuse_deploy.engines.labelling import label_columns, label_videos

    check_table(output)
    config = engine.metadata.config
    top = min(top, config.num_classes)
    videos = find_videos(inputs, reading.root)
    settings = ClipSettings(
        config.num_segments, config.preprocessing, reading.template, reading.strict_frames
    )
    task: dict[str, Any] = {
        "model": sha256(model),
        "engine": engine.name,
        "top": top,
        "template": reading.template,
        "strict_frames": reading.strict_frames,
    }
    if resume and output.exists() and not journal_path(output).exists():
        note(f"{output} is complete: there is nothing to resume.")
        return
    journal = Journal(output, task, key="path", resume=resume)
    done = False
    try:
        left = [video for video in videos if video.path not in journal.rows]
        if len(left) < len(videos):
            note(f"{len(videos) - len(left)} of {len(videos)} videos are labelled already.")
        with progress(label="classifying", show=talkative(), total=len(left), unit="videos") as bar:
            for row in label_videos(
                engine,
                left,
                settings,
                top=top,
                workers=usable_processors() if workers is None else workers,
                warn=lambda sentence: warnings.warn(InputWarning(sentence), stacklevel=2),
                tell=_tell,
            ):
                journal.add(row)
                bar.update()
        rows = [journal.rows[video.path] for video in videos]
        write_table(output, label_columns(top), rows)
        done = True
    finally:
        journal.close(done=done)
    made(f"Wrote {output}: {len(rows)} videos.")
    _sum_up(output, rows)


def _tell(sentence: str) -> None:
    logging.getLogger("adafuse_deploy.data").info(sentence)


def _sum_up(output: Path, rows: Sequence[dict[str, Any]]) -> None:
    used = [row["gmacs"] for row in rows if row["error"] is None]
    if used:
        note(f"{sum(used) / len(used):.3f} GMACs per video.")
    if failed := len(rows) - len(used):
        raise CheckFailed(
            f"{failed} of {len(rows)} videos could not be labelled; the column 'error' of {output} "
            "says why."
        )

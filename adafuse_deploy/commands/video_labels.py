"""What ``classify`` does without more: the best classes of a video, or of each in a list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.output import note, report, talkative

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.engines.classification import Classification
    from adafuse_deploy.engines.engine import Engine


def label_video(
    engine: Engine,
    video: str,
    model: Path,
    *,
    reading: ListReading,
    top: int,
    json_file: str | None,
) -> None:
    """Report the best classes of a video.

    Raises:
        InputError: the video cannot be used, or a file cannot be written.
    """
    answer = engine.classify(
        video, top=top, template=reading.template, strict=reading.strict_frames
    )
    lines = [f"{label.probability:7.1%}  {label.name}" for label in answer]
    macs = int(answer.prediction.macs[0])
    _report(engine, model, _values(video, answer), lines, json_file, macs)


def label_list(
    engine: Engine,
    data: Path,
    model: Path,
    *,
    reading: ListReading,
    top: int,
    json_file: str | None,
) -> None:
    """Report the best class of every video of a list.

    Raises:
        InputError: the list or a video cannot be used, or a file cannot be written.
    """
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.engines.classification import classifications

    config = engine.metadata.config
    listed = ListedClips(config, data, reading=reading, labels="unused")
    clips = progress(listed, "classifying", show=talkative(), unit="videos")
    videos: list[dict[str, Any]] = []
    lines: list[str] = []
    # Answers are not kept: a list may be long, and the policies of one are hundreds of kilobytes.
    for path, (clip, _) in zip(listed.videos, clips, strict=True):
        (answer,) = classifications(engine.run(clip[None]), config, top)
        videos.append(_values(path, answer))
        lines.append(f"{answer.best}  {path}")
    macs = sum(video["macs"] for video in videos) / len(videos)
    _report(engine, model, {"videos": videos}, lines, json_file, macs)


def _report(
    engine: Engine,
    model: Path,
    values: dict[str, Any],
    lines: list[str],
    json_file: str | None,
    macs: float,
) -> None:
    from adafuse_deploy.core.cost import dense_macs

    dense = dense_macs(engine.metadata.layers, engine.metadata.config.num_segments)
    report({"engine": engine.name, **values, "dense_macs": dense}, lines, json_file)
    note(f"{macs / 1e9:.3f} of {dense / 1e9:.3f} GMACs on {engine.name}.")
    advise("inspect", model)


def _values(video: str, answer: Classification) -> dict[str, Any]:
    labels = [
        {"label": label.name, "class": label.index, "probability": label.probability}
        for label in answer
    ]
    return {"video": video, "top": labels, "macs": int(answer.prediction.macs[0])}

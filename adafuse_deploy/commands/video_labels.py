"""What ``classify`` does without more: the best classes of a video, or of each in a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.output import note, report, talkative

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.engines.classification import Classification
    from adafuse_deploy.engines.engine import Engine
    from adafuse_deploy.report.seen import Seen


def label_video(
    engine: Engine,
    video: str,
    model: Path,
    *,
    reading: ListReading,
    top: int,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Report the best classes of a video.

    Raises:
        InputError: the video cannot be used, or a file cannot be written.
    """
    from adafuse_deploy.data.clips import open_clip
    from adafuse_deploy.engines.classification import classifications

    config = engine.metadata.config
    seen = watching(engine, lambda _: video, html_file)
    clip = open_clip(
        video,
        config.num_segments,
        config.preprocessing,
        template=reading.template,
        strict=reading.strict_frames,
    )
    prediction = engine.run(clip[None])
    seen.add(clip[None], prediction)
    (answer,) = classifications(prediction, config, top)
    lines = [f"{label.probability:7.1%}  {label.name}" for label in answer]
    macs = int(prediction.macs[0])
    _report(engine, model, _values(video, answer), lines, json_file, html_file, macs, seen)


def label_list(
    engine: Engine,
    data: Path,
    model: Path,
    *,
    reading: ListReading,
    top: int,
    json_file: str | None,
    html_file: Path | None,
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
    paths = listed.videos
    seen = watching(engine, paths.__getitem__, html_file)
    clips = progress(listed, "classifying", show=talkative(), unit="videos")
    videos: list[dict[str, Any]] = []
    lines: list[str] = []
    # Answers are not kept: a list may be long, and the policies of one are hundreds of kilobytes.
    for path, (clip, _) in zip(paths, clips, strict=True):
        prediction = engine.run(clip[None])
        seen.add(clip[None], prediction)
        (answer,) = classifications(prediction, config, top)
        videos.append(_values(path, answer))
        lines.append(f"{answer.best}  {path}")
    macs = sum(video["macs"] for video in videos) / len(videos)
    values = {
        "videos": videos,
        "labels": label_counts(video["top"][0]["label"] for video in videos),
    }
    _report(engine, model, values, lines, json_file, html_file, macs, seen)


def watching(engine: Engine, name: Callable[[int], str], html_file: Path | None) -> Seen:
    """Return what remembers clips for the page; ``name`` gives the video of a number."""
    from adafuse_deploy.report.seen import Seen

    metadata = engine.metadata
    return Seen(
        metadata.config,
        metadata.layers,
        metadata.gates,
        lambda number: (name(number), None),
        with_pictures=html_file is not None,
    )


def label_counts(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return how many videos have each best class, the most frequent first."""
    return [{"label": name, "videos": many} for name, many in Counter(names).most_common()]


def page_of(values: dict[str, Any], pictures: Sequence[Sequence[str]]) -> str:
    """Return the page of what was recognised."""
    from adafuse_deploy.report.classify_page import classify_page
    from adafuse_deploy.report.page import render

    return render(classify_page(values, {"policy_maps": pictures}))


def _report(
    engine: Engine,
    model: Path,
    values: dict[str, Any],
    lines: list[str],
    json_file: str | None,
    html_file: Path | None,
    macs: float,
    seen: Seen,
) -> None:
    from adafuse_deploy.commands.circumstances import circumstances
    from adafuse_deploy.core.cost import dense_macs

    dense = dense_macs(engine.metadata.layers, engine.metadata.config.num_segments)
    values = {
        "engine": engine.name,
        **values,
        "dense_macs": dense,
        "mean_macs": macs,
        "macs_share": 1 - macs / dense,
        **seen.to_dict(),
        **circumstances([model]),
    }
    report(values, lines, json_file, html_file, lambda found: page_of(found, seen.pictures))
    note(f"{macs / 1e9:.3f} of {dense / 1e9:.3f} GMACs on {engine.name}.")
    advise("inspect", model)


def _values(video: str, answer: Classification) -> dict[str, Any]:
    labels = [
        {"label": label.name, "class": label.index, "probability": label.probability}
        for label in answer
    ]
    return {"video": video, "top": labels, "macs": int(answer.prediction.macs[0])}

"""What ``classify --window`` does: a long video to a timeline, and to a video with captions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.commands.output import made, note, report, talkative

if TYPE_CHECKING:
    from adafuse_deploy.core.config import ModelConfig
    from adafuse_deploy.core.prediction import Prediction
    from adafuse_deploy.data.feed import Frame, Sampling
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.data.windows import Window
    from adafuse_deploy.engines.classification import Classification
    from adafuse_deploy.engines.engine import Engine
    from adafuse_deploy.engines.timeline import Segment
    from adafuse_deploy.report.seen import Seen


COLUMNS = {
    "path": str,
    "start": float,
    "end": float,
    "label": str,
    "class": int,
    "probability": float,
    "gmacs": float,
    "windows": int,
}


def video_timeline(
    engine: Engine,
    model: Path,
    video: str,
    window: float | str,
    stride: float | None,
    *,
    reading: ListReading,
    rate: float | None,
    output: Path | None,
    save: Path | None,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Report what happens when in a video; write it as a table and as captions if asked.

    Args:
        engine: for clips or for streams.
        model: its file.
        video: a file or a folder of frames.
        window: seconds, or "auto" for as many as the network's clips had in training.
        stride: seconds from a window to the next; None for as many as a window has.
        reading: how to read the video.
        rate: frames a second of a video that tells no time.
        output, save, json_file, html_file: files to write.

    Raises:
        InputError: the video cannot be read, or a file cannot be written.
    """
    from adafuse_deploy.commands.circumstances import circumstances
    from adafuse_deploy.commands.video_labels import page_of, watching
    from adafuse_deploy.core.cost import dense_macs
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.core.tables import check_table, write_table
    from adafuse_deploy.data.annotate import write_annotated
    from adafuse_deploy.data.feed import Sampling
    from adafuse_deploy.data.media import check_local
    from adafuse_deploy.data.windows import cut_windows, video_seconds
    from adafuse_deploy.engines.timeline import timeline
    from adafuse_deploy.engines.window_answers import clip_windows, stream_windows

    check_local(video)
    if output is not None:
        check_table(output)
    config = engine.metadata.config
    dense = dense_macs(engine.metadata.layers, config.num_segments)
    window = _seconds(config, window)
    stride = stride or window
    length = video_seconds(video, reading.template, rate)
    windows = cut_windows(length, window, stride)
    frame_spacing = window / config.num_segments
    if engine.metadata.mode == "stream":
        if config.frame_spacing is not None:
            frame_spacing = config.frame_spacing.median
        sampling, recognise = Sampling(spacing=frame_spacing), stream_windows
    else:
        sampling, recognise = Sampling(), clip_windows
    _compare(config, frame_spacing)

    def name(number: int) -> str:
        return f"{windows[number].start:.2f} to {windows[number].end:.2f} s"

    seen = watching(engine, name, html_file)
    with _frames(video, reading, sampling, rate) as frames:
        found = recognise(engine, frames, windows)
        shown = progress(found, "classifying", show=talkative(), total=len(windows), unit="windows")
        answers = (_answer(prediction, config, seen) for prediction in shown)
        segments = timeline(windows, answers)
    rows = [_row(video, segment) for segment in segments]
    if output is not None:
        write_table(output, COLUMNS, rows)
        made(f"Wrote {output}: {len(rows)} segments.")
    if save is not None:
        with _frames(video, reading, Sampling(), rate) as frames:
            ahead = progress(frames, "drawing", show=talkative(), unit="frames")
            captions = _Captions(segments, dense, config.num_segments)
            count = write_annotated(save, ahead, captions)
        made(f"Wrote {save}: {count} frames, without sound.")
    lines = [
        f"{segment.start:9.2f} {segment.end:9.2f} s  {segment.probability:6.1%}  {segment.label}"
        for segment in segments
    ]
    values = {"engine": engine.name, "video": video, "seconds": length, "window": window}
    values |= {"stride": stride, "frame_spacing": frame_spacing}
    needed = sum(part.macs * (part.end - part.start) for part in segments) / windows[-1].end
    values |= {"segments": rows, "dense_macs": dense, "mean_macs": needed}
    values |= {"macs_share": 1 - needed / dense, **seen.to_dict(), **circumstances([model])}
    if html_file is not None and engine.metadata.mode == "clip":
        with _frames(video, reading, Sampling(), rate) as frames:
            _take_pictures(seen, config, frames, windows)
    report(values, lines, json_file, html_file, lambda found: page_of(found, seen.pictures))
    note(f"{needed / 1e9:.3f} of {dense / 1e9:.3f} GMACs per window on {engine.name}.")


def _answer(prediction: Prediction, config: ModelConfig, seen: Seen) -> Classification:
    """Return what a window shows, after it was counted."""
    from adafuse_deploy.engines.classification import classifications

    seen.add(None, prediction)
    (answer,) = classifications(prediction, config, 1)
    return answer


def _take_pictures(
    seen: Seen, config: ModelConfig, frames: Iterator[Frame], windows: list[Window]
) -> None:
    """Add the frames of the first windows, which the engine saw without their keeping."""
    from adafuse_deploy.data.windows import window_clips
    from adafuse_deploy.report.pictures import thumbnails
    from adafuse_deploy.report.seen import SHOWN

    clips = window_clips(frames, windows[:SHOWN], config.num_segments, config.preprocessing)
    seen.pictures += [thumbnails(clip, config.preprocessing) for clip in clips]


def _seconds(config: ModelConfig, window: float | str) -> float:
    """Return how long a window is."""
    from adafuse_deploy.core.errors import InputError

    if not isinstance(window, str):
        return window
    if config.clip_seconds is None:
        raise InputError(
            "The model does not record how far apart frames were in training: give --window "
            "SECONDS, or make it again with --frame-spacing."
        )
    return config.clip_seconds


def _compare(config: ModelConfig, seconds: float) -> None:
    """Say so if frames are as far apart as in few training videos."""
    known = config.frame_spacing
    if known is not None and not 0.99 * known.p10 <= seconds <= 1.01 * known.p90:
        note(
            f"Frames are {seconds:.3g} s apart, in training they were {known}; --window auto "
            "takes them as then."
        )


def _row(video: str, segment: Segment) -> dict[str, Any]:
    values = [video, segment.start, segment.end, segment.label, segment.index]
    values += [segment.probability, segment.macs / 1e9, segment.windows]
    return dict(zip(COLUMNS, values, strict=True))


@contextmanager
def _frames(
    video: str, reading: ListReading, sampling: Sampling, rate: float | None
) -> Iterator[Iterator[Frame]]:
    """Open the frames of a video; damaged ones are refused if that was asked for."""
    from adafuse_deploy.core.errors import InputError
    from adafuse_deploy.data.feed import open_feed

    def sound(feed: Any) -> Iterator[Frame]:
        for frame in feed:
            if frame.damaged and reading.strict_frames:
                raise InputError(
                    f"{video} has damaged frames up to {frame.seconds:.2f} s; leave out "
                    "--strict-frames to use them."
                )
            yield frame

    with open_feed(video, sampling, template=reading.template, rate=rate) as feed:
        yield sound(feed)


class _Captions:
    """What stands on a frame: label and probability; what the network computed, and spared."""

    def __init__(self, segments: list[Segment], dense: float, num_segments: int) -> None:
        self._segments, self._dense, self._frames = segments, dense, num_segments
        self._starts = [segment.start for segment in segments]

    def __call__(self, seconds: float) -> tuple[str, str]:
        segment = self._segments[max(0, bisect_right(self._starts, seconds) - 1)]
        needed, dense = (macs / self._frames / 1e9 for macs in (segment.macs, self._dense))
        return (
            f"{segment.label}  {segment.probability:.0%}",
            f"{needed:.3g} of {dense:.3g} GMACs per frame, {1 - needed / dense:.0%} saved",
        )

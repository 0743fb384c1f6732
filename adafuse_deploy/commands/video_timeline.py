"""What ``classify --window`` does: a long video to a timeline, and to a video with captions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.commands.output import made, note, report, talkative

if TYPE_CHECKING:
    from adafuse_deploy.data.feed import Frame
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.engines.engine import Engine
    from adafuse_deploy.engines.timeline import Segment


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
    video: str,
    window: float,
    stride: float,
    *,
    reading: ListReading,
    output: Path | None,
    save: Path | None,
    json_file: str | None,
) -> None:
    """Report what happens when in a video; write it as a table and as captions if asked.

    Raises:
        InputError: the video cannot be read, or a file cannot be written.
    """
    from adafuse_deploy.core.cost import dense_macs
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.core.tables import check_table, write_table
    from adafuse_deploy.data.annotate import write_annotated
    from adafuse_deploy.data.media import check_local
    from adafuse_deploy.data.windows import cut_windows, video_seconds, window_clips
    from adafuse_deploy.engines.classification import classifications
    from adafuse_deploy.engines.timeline import timeline

    check_local(video)
    if output is not None:
        check_table(output)
    config = engine.metadata.config
    dense = dense_macs(engine.metadata.layers, config.num_segments)
    length = video_seconds(video, reading.template)
    windows = cut_windows(length, window, stride)
    with _frames(video, reading) as frames:
        clips = window_clips(frames, windows, config.num_segments, config.preprocessing)
        shown = progress(clips, "classifying", show=talkative(), total=len(windows), unit="windows")
        answers = [classifications(engine.run(clip[None]), config, 1)[0] for clip in shown]
    segments = timeline(windows, answers)
    rows = [_row(video, segment) for segment in segments]
    if output is not None:
        write_table(output, COLUMNS, rows)
        made(f"Wrote {output}: {len(rows)} segments.")
    if save is not None:
        with _frames(video, reading) as frames:
            ahead = progress(frames, "drawing", show=talkative(), unit="frames")
            captions = _Captions(segments, dense, config.num_segments)
            count = write_annotated(save, ahead, captions)
        made(f"Wrote {save}: {count} frames, without sound.")
    lines = [
        f"{segment.start:9.2f} {segment.end:9.2f} s  {segment.probability:6.1%}  {segment.label}"
        for segment in segments
    ]
    values = {"engine": engine.name, "video": video, "seconds": length, "window": window}
    values |= {"stride": stride, "segments": rows, "dense_macs": dense}
    report(values, lines, json_file)
    needed = sum(float(answer.prediction.macs[0]) for answer in answers) / len(answers)
    note(f"{needed / 1e9:.3f} of {dense / 1e9:.3f} GMACs per window on {engine.name}.")


def _row(video: str, segment: Segment) -> dict[str, Any]:
    values = [video, segment.start, segment.end, segment.label, segment.index]
    values += [segment.probability, segment.macs / 1e9, segment.windows]
    return dict(zip(COLUMNS, values, strict=True))


@contextmanager
def _frames(video: str, reading: ListReading) -> Iterator[Iterator[Frame]]:
    """Open all frames of a video; damaged ones are refused if that was asked for."""
    from adafuse_deploy.core.errors import InputError
    from adafuse_deploy.data.feed import Sampling, open_feed

    def sound(feed: Any) -> Iterator[Frame]:
        for frame in feed:
            if frame.damaged and reading.strict_frames:
                raise InputError(
                    f"{video} has damaged frames up to {frame.seconds:.2f} s; leave out "
                    "--strict-frames to use them."
                )
            yield frame

    with open_feed(video, Sampling(), template=reading.template) as feed:
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

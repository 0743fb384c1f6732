"""``adafuse-deploy stream``: what happens in a video or before a camera, frame by frame."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from adafuse_deploy.commands.lists import source_rate_option, strict_option, template_option
from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import ANY_PATH, THREADS, ModelFile, Number, OutputFile, verb
from adafuse_deploy.commands.output import note, say, talkative
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import open_lines
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.engines.suffixes import CHECKPOINTS, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.core.config import ModelConfig
    from adafuse_deploy.core.prediction import Prediction
    from adafuse_deploy.data.feed import Frame

RATE_FRAMES = 30
"""Frames that the shown rate is measured over."""


@verb(
    epilog="Example: adafuse-deploy stream model.stream.onnx rtsp://camera/live --fps 8 "
    "--consensus window"
)
@click.argument("model", type=ModelFile(*GRAPHS, *CHECKPOINTS))
@click.argument("source", type=ANY_PATH)
@click.option(
    "--consensus",
    type=click.Choice(["mean", "window", "ema", "last"]),
    help="Of the frames' logits: mean of all or of a window, moving average, or the last frame "
    "[ema; last after an LSTM].",
)
@click.option(
    "--window", type=click.IntRange(1), default=8, show_default=True, help="Frames of a window."
)
@click.option(
    "--decay",
    type=Number(0, 1, max_open=True),
    default=0.9,
    show_default=True,
    help="Of the moving average, per frame.",
)
@click.option(
    "--fps",
    type=Number(0, min_open=True),
    help="Frames per second of video that are recognised [as in MODEL's training, where recorded].",
)
@click.option(
    "--stride", type=click.IntRange(1), help="Instead: every n-th frame, whatever its time."
)
@source_rate_option
@click.option("--max-frames", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="Classes shown.")
@click.option(
    "--retries",
    type=click.IntRange(0),
    help="Give a live source up after so many failed connections in a row [never].",
)
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run on the operator library (default) or on the function bodies.",
)
@template_option
@strict_option
@click.option("--threads", type=THREADS, help="Threads of the runtime.")
@click.option(
    "--json",
    "json_file",
    type=OutputFile(dash=True),
    metavar="FILE",
    help="Write a line of JSON per frame to FILE; with -, to standard output and the text to "
    "standard error.",
)
def command(
    model: Path,
    source: str,
    consensus: str | None,
    window: int,
    decay: float,
    fps: float | None,
    stride: int | None,
    source_rate: float | None,
    max_frames: int | None,
    top: int,
    retries: int | None,
    operator_library: bool,
    template: str | None,
    strict_frames: bool,
    threads: int | None,
    json_file: str | None,
) -> None:
    """Recognise what happens in SOURCE with MODEL, a graph exported with --mode stream.

    SOURCE is a video file or a folder of frames (25 per second, or --source-rate), an address such
    as rtsp://..., or a camera such as /dev/video0.  Frames are taken by their times, as far apart
    as MODEL's were in training.  Files are seen in full; of live sources only the newest frame is
    kept, and a lost connection is made again.  Ctrl-C stops.
    """
    from adafuse_deploy.data.feed import Sampling, open_feed
    from adafuse_deploy.data.transforms import preprocess
    from adafuse_deploy.engines.loader import load_engine

    with load_engine(model, operator_library=operator_library, threads=threads) as engine:
        config = engine.metadata.config
        sampling = Sampling(stride or 1, _spacing(config, fps, stride))
        # A mean of all frames would ever less notice what is new.
        kind = consensus or ("last" if config.accumulates else "ema")
        stream = engine.stream(consensus=kind, window=window, decay=decay)
        with (
            nullcontext() if json_file is None else _sink(json_file) as lines,
            open_feed(
                source,
                sampling,
                template=template,
                rate=source_rate,
                retries=retries,
                notify=note,
            ) as feed,
        ):
            show = _Output(config.labels, top, lines)
            try:
                for frame in feed:
                    if frame.begins:
                        stream.reset()  # what was before a lost connection is not its past
                    if frame.damaged and strict_frames:
                        raise InputError(
                            f"{source} has damaged frames up to {frame.seconds:.2f} s; leave out "
                            "--strict-frames to use them."
                        )
                    prediction = stream.push(preprocess(frame.image[None], config.preprocessing))
                    show.add(frame, prediction, feed.dropped)
                    if show.frames == max_frames:
                        break
            except KeyboardInterrupt:
                pass  # how one stops a camera
            show.end(feed.dropped)
    advise("inspect", model)


def _spacing(config: ModelConfig, fps: float | None, stride: int | None) -> float | None:
    """Return the seconds from a step to the next; None for steps that go by frames."""
    if fps is not None:
        return 1 / fps
    if stride is None and config.frame_spacing is not None:
        return config.frame_spacing.median
    if stride is None:
        note(
            "The model does not record how far apart frames were in training: every frame is "
            "taken; choose with --fps or --stride."
        )
    return None


@contextmanager
def _sink(json_file: str) -> Iterator[TextIO]:
    """Open what takes the frames' JSON; a failure to write is a sentence."""
    if json_file == "-":
        yield sys.stdout
        return
    try:
        with open_lines(json_file) as file:
            yield file
    except OSError as error:
        raise InputError(f"Cannot write {json_file}: {error.strerror or error}.") from error


class _Output:
    """What was seen so far, and how fast.

    A line whenever the best class changes; on a terminal the current state besides.

    Args:
        names: of the classes.
        top: how many are shown.
        lines: takes one JSON object per frame.
    """

    def __init__(self, names: tuple[str, ...], top: int, lines: TextIO | None) -> None:
        self._names, self._top, self._lines = names, top, lines
        self._terminal = talkative() and sys.stderr is not None and sys.stderr.isatty()
        self.frames, self._damaged, self._macs, self._best = 0, 0, 0, ""
        self._times: deque[float] = deque(maxlen=RATE_FRAMES + 1)

    def add(self, frame: Frame, prediction: Prediction, dropped: int) -> None:
        """Take one frame's result."""
        self.frames += 1
        self._damaged += frame.damaged
        macs = int(prediction.macs[0])
        self._macs += macs
        self._times.append(time.perf_counter())
        ranked = [
            {
                "label": self._names[index],
                "class": int(index),
                "probability": float(prediction.probabilities[0, index]),
            }
            for index in prediction.top(self._top)[0]
        ]
        if self._lines is not None:
            values = {"frame": self.frames - 1, "seconds": round(frame.seconds, 3), "top": ranked}
            values |= {
                "damaged": frame.damaged,
                "macs": macs,
                "fps": round(self._rate(), 2),
                "dropped": dropped,
            }
            self._lines.write(json_text(values) + "\n")
            self._lines.flush()
        self._show(frame.seconds, ranked, dropped)

    def end(self, dropped: int) -> None:
        """Say in one line what there was."""
        self._wipe()
        if not self.frames:
            note("There was no frame.")
            return
        note(
            f"{self.frames} frames, {dropped} dropped, {self._damaged} damaged, "
            f"{self._rate():.1f} per second, {self._macs / self.frames / 1e9:.3f} GMACs per frame."
        )

    def _rate(self) -> float:
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed else 0.0

    def _show(self, seconds: float, ranked: list[dict[str, Any]], dropped: int) -> None:
        text = ", ".join(f"{entry['label']} {entry['probability']:.0%}" for entry in ranked)
        line = f"{seconds:8.2f} s  {text}"
        if ranked[0]["label"] != self._best:
            self._best = ranked[0]["label"]
            self._wipe()
            say(line)
        if self._terminal:
            self._wipe()
            state = f"{line}  {self._rate():.1f} frames/s, {dropped} dropped"
            click.echo(state, err=True, nl=False)

    def _wipe(self) -> None:
        if self._terminal:
            click.echo("\r\033[K", err=True, nl=False)

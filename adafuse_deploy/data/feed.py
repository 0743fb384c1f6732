"""Frames as they come: from a video file, or from a camera that does not wait.

A file is read in full, however long each frame takes.  A live source is decoded on a thread of its
own that keeps the newest frame only: who is slow sees fewer frames, never old ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from adafuse_deploy.data.orientation import upright
from adafuse_deploy.errors import InputError

OPEN_TIMEOUT, READ_TIMEOUT = 10.0, 5.0
"""Seconds until a live source that says nothing counts as lost."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between attempts to connect again; each pause is twice the one before."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Attributes:
        convert: gives the image; a frame that nobody looks at is not converted.
        seconds: its time in the source.
        begins: it is the first after the source was opened, or opened again.
    """

    convert: Callable[[], np.ndarray]
    seconds: float
    begins: bool = False

    @property
    def image(self) -> np.ndarray:
        """Uint8 (H, W, 3), RGB, upright."""
        return self.convert()


@dataclass
class Sampling:
    """Which frames of a source count.

    Attributes:
        stride: every so many frames one.
        fps: at most so many per second of the source's time, evenly; None for all.
    """

    stride: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.stride < 1 or (self.fps is not None and self.fps <= 0):
            raise InputError("The stride is at least 1 and the frames per second are above 0.")

    def pick(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames that count of a source just opened."""
        slot: int | None = None
        begins = True
        for index, frame in enumerate(frames):
            if index % self.stride:
                continue
            if self.fps is not None:
                now = int(frame.seconds * self.fps + 1e-6)
                if slot == now:
                    continue
                slot = now
            yield replace(frame, begins=begins)
            begins = False


Connect = Callable[[], Iterator[Frame]]
"""Opens a source and yields its frames; raises InputError when it cannot."""


def is_live(source: str) -> bool:
    """Whether a source is a camera or a network address rather than a file."""
    return "://" in source or source.startswith("/dev/")


class FileFeed:
    """Every frame of a file that counts.

    Attributes:
        dropped: always 0: files wait.
    """

    dropped = 0

    def __init__(self, connect: Connect, sampling: Sampling) -> None:
        self._connect, self._sampling = connect, sampling

    def __iter__(self) -> Iterator[Frame]:
        return self._sampling.pick(self._connect())

    def close(self) -> None:
        """Do nothing: iterating opens and closes the file."""


class LiveFeed:
    """The newest frame of a source that counts, whenever one is asked for.

    The first connection is made when iteration begins and must succeed.  A connection that ends or
    fails later is made again, with growing pauses.

    Args:
        connect: opens the source.
        sampling: which frames count.
        retries: failed attempts in a row after which the source is given up; None for never.
        notify: called with a sentence when the connection is lost or back.

    Attributes:
        dropped: frames that counted but were replaced by newer ones before anyone took them.
    """

    def __init__(
        self,
        connect: Connect,
        sampling: Sampling,
        *,
        retries: int | None = None,
        notify: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self.dropped = 0
        self._connect, self._sampling = connect, sampling
        self._retries, self._notify = retries, notify
        self._change = threading.Condition()
        self._newest: Frame | None = None
        self._end: InputError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="live feed", daemon=True)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame, waiting for one if there is none that was not yielded.

        Raises:
            InputError: the source cannot be opened, or was given up.
        """
        self._thread.start()
        while not self._stop.is_set():
            with self._change:
                # In short waits, so that Ctrl-C comes through on every platform.
                while self._newest is None and self._end is None:
                    self._change.wait(0.2)
                frame, self._newest = self._newest, None
            if frame is None:
                assert self._end is not None
                raise self._end
            yield frame

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(READ_TIMEOUT)

    def _read(self) -> None:
        failures, connected = 0, False
        while not self._stop.is_set():
            try:
                for frame in self._sampling.pick(self._connect()):
                    if frame.begins and connected:
                        self._notify("Connected again.")
                    failures, connected = 0, True
                    if self._stop.is_set():
                        return
                    self._put(frame)
                error = InputError("The source ended.")
            except InputError as failure:
                error = failure
            if not connected or failures == self._retries:
                with self._change:
                    self._end = error
                    self._change.notify()
                return
            pause = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE)
            failures += 1
            self._notify(f"{error} Connecting again in {pause:g} s.")
            self._stop.wait(pause)

    def _put(self, frame: Frame) -> None:
        with self._change:
            if self._newest is not None:
                self.dropped += 1
                # What began with a frame that nobody saw begins with this one.
                frame = replace(frame, begins=frame.begins or self._newest.begins)
            self._newest = frame
            self._change.notify()


@contextmanager
def open_feed(
    source: str,
    sampling: Sampling,
    *,
    retries: int | None = None,
    notify: Callable[[str], object] = lambda sentence: None,
) -> Iterator[FileFeed | LiveFeed]:
    """Open a video file, a camera such as /dev/video0 or an address such as rtsp://host/path.

    Args:
        source: the file, device or address.
        sampling: which frames count.
        retries, notify: as for :class:`LiveFeed`.

    Raises:
        InputError: there is no such file.
    """
    feed: FileFeed | LiveFeed
    if is_live(source):
        feed = LiveFeed(lambda: _decode(source), sampling, retries=retries, notify=notify)
    else:
        if not Path(source).is_file():
            raise InputError(f"There is no video file {source}; check the path.")
        feed = FileFeed(lambda: _decode(source), sampling)
    try:
        yield feed
    finally:
        feed.close()


def _decode(source: str) -> Iterator[Frame]:
    """Yield every frame.

    Raises:
        InputError: the source cannot be opened or decoded, or has no video.
    """
    import av

    live = is_live(source)
    options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
    timeout = (OPEN_TIMEOUT, READ_TIMEOUT) if live else None
    kind = "v4l2" if source.startswith("/dev/") else None
    try:
        with av.open(source, format=kind, options=options, timeout=timeout) as container:
            if not container.streams.video:
                raise InputError(f"{source} has no video stream, only other media.")
            rate = float(container.streams.video[0].average_rate or 25)
            start = time.monotonic()
            for index, frame in enumerate(container.decode(video=0)):
                untimed = time.monotonic() - start if live else index / rate
                seconds = untimed if frame.time is None else frame.time
                yield Frame(partial(upright, frame), seconds)
    except av.FFmpegError as error:
        advice = (
            "check the address and that the source is on"
            if live
            else "it is damaged or not a video; record it again or convert it to .mp4"
        )
        raise InputError(f"{source} cannot be read ({error.strerror}): {advice}.") from error

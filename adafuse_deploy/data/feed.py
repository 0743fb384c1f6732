"""Frames as they come: from a video file, or from a camera that does not wait.

A file is read in full, however long each frame takes.  A live source is decoded on a thread of its
own that keeps the newest frame only: who is slow sees fewer frames, never old ones.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from adafuse_deploy.core.errors import AdaFuseError, InputError
from adafuse_deploy.data.frames import FrameFolder
from adafuse_deploy.data.media import check_exists, is_address, open_video, video_stream
from adafuse_deploy.data.orientation import upright

OPEN_TIMEOUT, READ_TIMEOUT = 10.0, 5.0
"""Seconds until a live source that says nothing counts as lost."""
UNTIMED_RATE = 25.0
"""Frames per second where a source tells no time, as folders of images, and nobody else does."""
LONGEST_PAUSE_OF_A_SOURCE = 60.0
"""Seconds without a frame after which what follows is another recording."""
A_MOMENT = 1e-3
"""Seconds by which time stamps are rounded; less than any frame lasts."""
LEAST_SPACING = 2 * A_MOMENT
"""Seconds between two steps, at least, for time stamps to tell which frame each of them has."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between attempts to connect again; each pause is twice the one before."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Attributes:
        convert: gives the image; a frame that nobody looks at is not converted.
        seconds: its time in the source, or of the step that it is taken for.
        begins: it is the first after the source was opened, or opened again, or after a break.
        damaged: the decoder marked it, or one since the last that counted, as damaged.
    """

    convert: Callable[[], np.ndarray]
    seconds: float
    begins: bool = False
    damaged: bool = False

    @property
    def image(self) -> np.ndarray:
        """Uint8 (H, W, 3), RGB, upright."""
        return self.convert()


@dataclass
class Sampling:
    """Which frames of a source count.

    Attributes:
        stride: every so many frames one.
        spacing: seconds from a step to the next; None for every frame that ``stride`` leaves.
    """

    stride: int = 1
    spacing: float | None = None

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise InputError(f"A stride is at least 1 frame, not {self.stride}.")
        if self.spacing is not None and not self.spacing >= LEAST_SPACING:
            raise InputError(
                f"Steps are at least {LEAST_SPACING:g} s apart ({1 / LEAST_SPACING:g} a second), "
                f"not {self.spacing:g} s."
            )

    def pick(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames that count of a source just opened.

        With a spacing there is a step every so many seconds from the first frame on, and the frame
        that is shown then stands for it: at a variable rate, or where frames are missing, one may
        stand for several steps.  After a minute without a frame, or where time runs backwards,
        steps begin anew.
        """
        begins, damaged, fresh = True, False, False
        before: Frame | None = None
        start, elapsed, step = 0.0, 0.0, 0
        for index, frame in enumerate(frames):
            fresh |= frame.damaged
            if index % self.stride:
                continue
            if self.spacing is None:
                yield replace(frame, begins=begins, damaged=fresh)
                begins, fresh = False, False
                continue
            elapsed = 0.0 if before is None else frame.seconds - before.seconds
            if before is None or not -self.spacing <= elapsed <= LONGEST_PAUSE_OF_A_SOURCE:
                start, elapsed, step, begins, before = frame.seconds, 0.0, 0, True, frame
            # Counted from the start: large time stamps would swallow a step.
            since = frame.seconds - start
            while (moment := step * self.spacing) <= since + A_MOMENT:
                shown = frame if since <= moment + A_MOMENT else before
                if shown is frame:
                    damaged, fresh = damaged or fresh, False
                yield replace(shown, seconds=start + moment, begins=begins, damaged=damaged)
                begins, damaged = False, False
                step += 1
            damaged, fresh, before = damaged or fresh, False, frame
        # A next frame would come as long after the last one as that came after the one before it.
        while (
            before is not None
            and self.spacing is not None
            and (moment := step * self.spacing) < before.seconds - start + elapsed / 2 - A_MOMENT
        ):
            yield replace(before, seconds=start + moment, begins=begins, damaged=damaged)
            begins, damaged = False, False
            step += 1


Connect = Callable[[], Iterator[Frame]]
"""Opens a source and yields its frames; raises InputError when it cannot."""


def is_live(source: str) -> bool:
    """Whether a source is a camera or a network address rather than a file or a folder."""
    if os.path.isfile(source) or os.path.isdir(source):
        return False
    return is_address(source) or source.startswith("/dev/")


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
        self._end: AdaFuseError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="live feed", daemon=True)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame, waiting for one if there is none that was not yielded.

        Raises:
            InputError: the source cannot be opened, was given up, or could not be read for a reason
                that nobody expected; the message names it.
        """
        self._thread.start()
        while True:
            with self._change:
                # In short waits, so that Ctrl-C comes through on every platform.
                while self._newest is None and self._end is None and not self._stop.is_set():
                    self._change.wait(0.2)
                frame, self._newest = self._newest, None
            if self._stop.is_set():
                return
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
        """Read until the source is given up; whatever ends this is told to who waits for frames."""
        try:
            end = self._read_until_lost()
        except AdaFuseError as error:
            end = error
        except BaseException as error:  # nobody would hear of it on this thread
            end = InputError(
                f"Reading the source failed unexpectedly ({type(error).__name__}: {error}); "
                "open it again, and report this if it stays."
            )
            end.__cause__ = error
        with self._change:
            self._end = end
            self._change.notify()

    def _read_until_lost(self) -> AdaFuseError:
        failures, connected = 0, False
        while not self._stop.is_set():
            try:
                for frame in self._sampling.pick(self._connect()):
                    if frame.begins and connected:
                        self._notify("Connected again.")
                    failures, connected = 0, True
                    if self._stop.is_set():
                        break
                    self._put(frame)
                error = InputError("The source ended.")
            except InputError as failure:
                error = failure
            if not connected or failures == self._retries:
                return error
            pause = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE)
            failures += 1
            if not self._stop.is_set():
                self._notify(f"{error} Connecting again in {pause:g} s.")
                self._stop.wait(pause)
        return InputError("The feed was closed.")

    def _put(self, frame: Frame) -> None:
        with self._change:
            if self._newest is not None:
                self.dropped += 1
                # What began with a frame that nobody saw begins with this one.
                frame = replace(
                    frame,
                    begins=frame.begins or self._newest.begins,
                    damaged=frame.damaged or self._newest.damaged,
                )
            self._newest = frame
            self._change.notify()


@contextmanager
def open_feed(
    source: str,
    sampling: Sampling,
    *,
    template: str | None = None,
    rate: float | None = None,
    retries: int | None = None,
    notify: Callable[[str], object] = lambda sentence: None,
) -> Iterator[FileFeed | LiveFeed]:
    """Open a video, a camera such as /dev/video0 or an address such as rtsp://host/path.

    Args:
        source: a video file, a folder of frames, a device or an address.
        sampling: which frames count.
        template: file names in a folder, such as ``img_{:05d}.jpg``; found out by default.
        rate: frames per second of a folder, or of a file without time stamps; by default
            :data:`UNTIMED_RATE`, or what the file says.
        retries, notify: as for :class:`LiveFeed`.

    Raises:
        InputError: there is no such file.
    """
    source = source.removeprefix("file://")
    feed: FileFeed | LiveFeed
    if is_live(source):
        feed = LiveFeed(lambda: _receive(source), sampling, retries=retries, notify=notify)
    elif os.path.isdir(source):
        folder = FrameFolder(source, template=template)
        feed = FileFeed(lambda: _images(folder, rate), sampling)
    else:
        check_exists(source)
        feed = FileFeed(lambda: _play(source, rate), sampling)
    try:
        yield feed
    finally:
        feed.close()


def _images(folder: FrameFolder, rate: float | None) -> Iterator[Frame]:
    """Yield every image of a folder."""
    for index in range(folder.num_frames):
        yield Frame(partial(folder.read, index), index / (rate or UNTIMED_RATE))


def _play(source: str, rate: float | None) -> Iterator[Frame]:
    """Yield every frame of a video file.

    Raises:
        InputError: it cannot be opened or decoded, or has no video.
    """
    with open_video(source) as (container, stream):
        rate = float(rate or stream.average_rate or UNTIMED_RATE)
        for index, frame in enumerate(container.decode(stream)):
            seconds = index / rate if frame.time is None else frame.time
            yield Frame(partial(upright, frame), seconds, damaged=frame.is_corrupt)


def _receive(source: str) -> Iterator[Frame]:
    """Yield every frame of a live source.

    Raises:
        InputError: it cannot be opened or decoded, or has no video.
    """
    import av

    options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
    kind = "v4l2" if source.startswith("/dev/") else None
    timeout = (OPEN_TIMEOUT, READ_TIMEOUT)
    try:
        with av.open(source, format=kind, options=options, timeout=timeout) as container:
            start = time.monotonic()
            for frame in container.decode(video_stream(container, source)):
                seconds = time.monotonic() - start if frame.time is None else frame.time
                yield Frame(partial(upright, frame), seconds, damaged=frame.is_corrupt)
    except av.FFmpegError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror}): check the address and that the source "
            "is on."
        ) from error

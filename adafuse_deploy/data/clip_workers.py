"""Processes that read videos ahead and leave their clips in shared memory.

Every process has :data:`SLOTS` places for clips, so that it reads the next video while a clip
waits to be taken; that bounds memory.  A process that dies, of a decoder's fault or for want of
memory, is replaced, and the video that it was reading is reported.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import AdaFuseError
from adafuse_deploy.data.clips import check_length, sampled_clip
from adafuse_deploy.data.frames import FrameFolder
from adafuse_deploy.data.inputs import Video
from adafuse_deploy.data.media import check_local
from adafuse_deploy.data.video import VideoFile

SLOTS = 2


@dataclass(frozen=True)
class ClipSettings:
    """How clips are made.

    Attributes:
        num_segments: frames per clip T.
        preprocessing: sizes and normalisation of the network.
        template: names of the images in folders; found out by default.
        strict: refuse videos with damaged frames.
    """

    num_segments: int
    preprocessing: Preprocessing
    template: str | None = None
    strict: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of a clip: (T, 3, H, W)."""
        crop = self.preprocessing.crop
        return self.num_segments, 3, crop, crop


@dataclass(frozen=True)
class Reading:
    """What became of one video.

    Attributes:
        number: its place among those given.
        clip: float32 (T, 3, H, W); None with ``error``.
        frames: how many it has.
        seconds: how long it is; None where it does not tell.
        error: why there is no clip, in a sentence.
        warnings: what is wrong with it though it can be used, in sentences.
        notes: what another process logged.
    """

    number: int
    clip: np.ndarray | None = None
    frames: int | None = None
    seconds: float | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_clips(
    videos: Iterable[tuple[int, Video]], settings: ClipSettings, workers: int
) -> Iterator[Reading]:
    """Yield what becomes of videos, each once, in the order in which they are ready.

    Args:
        videos: with their numbers.
        settings: how clips are made.
        workers: processes; with 0 videos are read one by one by this one.
    """
    with ClipReaders(settings, workers) as readers:
        yield from readers.read(videos)


class ClipReaders:
    """Processes that read one lot of videos after another, until they are closed.

    Args:
        settings: how clips are made.
        workers: processes; with 0 videos are read one by one by this one.
    """

    def __init__(self, settings: ClipSettings, workers: int) -> None:
        self._settings, self._workers = settings, workers
        self._context = multiprocessing.get_context("spawn")
        self._pool: list[_Worker] = []

    def read(self, videos: Iterable[tuple[int, Video]]) -> Iterator[Reading]:
        """Yield what becomes of videos, each once, in the order in which they are ready.

        The next lot can be given when that is over.
        """
        if not self._workers:
            for number, video in videos:
                details, clip = _read(video, self._settings)
                yield Reading(number, clip, **details)
            return
        waiting, pool = deque(videos), self._pool
        while len(pool) < min(self._workers, len(waiting)):
            pool.append(self._start())
        while True:
            for place, worker in enumerate(pool):
                while waiting and worker.free:
                    if worker.give(*waiting[0]):
                        waiting.popleft()
                    elif worker.tasks:
                        break  # it died; what it had is heard of below
                    else:
                        worker.stop()
                        pool[place] = worker = self._start()
            busy = {worker.connection: worker for worker in pool if worker.tasks}
            if not busy:
                return
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                try:
                    yield worker.take()
                except (EOFError, ConnectionError):
                    number, rest = worker.bury()
                    waiting.extendleft(reversed(rest))
                    pool[pool.index(worker)] = self._start()
                    yield Reading(number, error=worker.fate)

    def close(self) -> None:
        """End the processes."""
        while self._pool:
            self._pool.pop().stop()

    def _start(self) -> _Worker:
        return _Worker(self._context, self._settings)

    def __enter__(self) -> ClipReaders:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass
class _Worker:
    """A process, the videos that it was given, oldest first, and the places for their clips."""

    context: Any
    settings: ClipSettings
    tasks: deque[tuple[int, Video, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.connection, theirs = self.context.Pipe()
        size = int(np.prod(self.settings.shape))
        memory = [self.context.RawArray("f", size) for _ in range(SLOTS)]
        shape = self.settings.shape
        self._slots = [np.frombuffer(place, np.float32).reshape(shape) for place in memory]
        self._free = list(range(SLOTS))
        self._process = self.context.Process(
            target=_work, args=(theirs, memory, self.settings), daemon=True, name="reading videos"
        )
        with _main_module_hidden():
            self._process.start()
        theirs.close()

    @property
    def free(self) -> bool:
        return bool(self._free)

    def give(self, number: int, video: Video) -> bool:
        """Ask for a clip; return False if the process is dead."""
        try:
            self.connection.send((video, self._free[-1]))
        except ConnectionError:
            return False
        self.tasks.append((number, video, self._free.pop()))
        return True

    def take(self) -> Reading:
        """Return the oldest answer."""
        details, has_clip = self.connection.recv()
        number, _, slot = self.tasks.popleft()
        clip = self._slots[slot].copy() if has_clip else None
        self._free.append(slot)
        return Reading(number, clip, **details)

    def bury(self) -> tuple[int, list[tuple[int, Video]]]:
        """Return the video that a dead process was reading, and those that it had before it."""
        self._process.join()
        code = self._process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        number, video, _ = self.tasks.popleft()
        self.fate = f"The process that read {video.path} ended unexpectedly ({how})."
        return number, [(number, video) for number, video, _ in self.tasks]

    def stop(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep a new process from importing the program that starts it.

    It needs nothing of that: a user's script may do work when it is imported, and that of a Ray
    worker brings 80 MB.
    """
    variables = vars(sys.modules["__main__"])
    file = variables.pop("__file__", None)
    try:
        yield
    finally:
        if file is not None:
            variables["__file__"] = file


def _work(connection: Connection, memory: list[Any], settings: ClipSettings) -> None:
    """Read videos until there are no more, or nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that reads the answers
    slots = [np.frombuffer(place, np.float32).reshape(settings.shape) for place in memory]
    logged = _Logged()
    logging.getLogger("adafuse_deploy").addHandler(logged)
    logging.getLogger("adafuse_deploy").setLevel(logging.INFO)
    try:
        while True:
            video, slot = connection.recv()
            details, clip = _read(video, settings)
            details["notes"] = logged.take()
            if clip is not None:
                slots[slot][:] = clip
            connection.send((details, clip is not None))
    except (EOFError, ConnectionError):
        return


def _read(video: Video, settings: ClipSettings) -> tuple[dict[str, Any], np.ndarray | None]:
    """Return what :class:`Reading` says besides the number, and the clip."""
    details: dict[str, Any] = {}
    clip = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            clip = _clip(video, settings, details)
        except (AdaFuseError, OSError, MemoryError) as error:
            details["error"] = str(error) or type(error).__name__
        except Exception as error:  # one video must not end the work on all others
            details["error"] = f"{video.path} cannot be read: {type(error).__name__}: {error}"
    details["warnings"] = tuple(str(warning.message) for warning in told)
    return details, clip


def _clip(video: Video, settings: ClipSettings, details: dict[str, Any]) -> np.ndarray:
    check_local(video.path)
    source: FrameFolder | VideoFile
    if os.path.isdir(video.path):
        source = FrameFolder(video.path, video.num_frames, settings.template)
    else:
        source = VideoFile(video.path, strict=settings.strict)
        details["seconds"] = source.seconds
    clip = sampled_clip(
        source, video.path, settings.num_segments, settings.preprocessing, repeat_last=True
    )
    details["frames"] = source.num_frames
    check_length(source, video.path, settings.num_segments)
    return clip


class _Logged(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._sentences.append(record.getMessage())

    def take(self) -> tuple[str, ...]:
        sentences, self._sentences = tuple(self._sentences), []
        return sentences

"""What a process has from outside: processors, signals that end it, readers that go away."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = ("SIGTERM", "SIGHUP")
MOST_THREADS = 1024
"""Of a runtime; so many do no harm, and no machine of ours has more processors."""


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OutputLost(Exception):
    """Standard output takes no more; ``cause`` is the system's error.

    No :class:`OSError`, which library code on the way would take for one of its own.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextmanager
def clean_exit() -> Iterator[None]:
    """Raise :class:`SystemExit` with 128 + its number when SIGTERM or SIGHUP arrives in the block.

    Temporary files go away as on any exception.  A signal that is ignored, as ``nohup`` does with
    SIGHUP, stays ignored.  Outside the main thread, where Python takes no signals, nothing changes.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in _ENDING if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _raise_exit)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def guarded_output() -> Iterator[None]:
    """Raise :class:`OutputLost` where standard output cannot be written; let error output go.

    Results that nobody can read end the work; progress and warnings that nobody reads do not.
    Descriptors 0 to 2 that the parent closed are opened on the null device, lest a file of ours
    takes their place and what libraries print.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
    before = sys.stdout, sys.stderr
    sys.stdout = before[0] and _Guarded(before[0], needed=True)
    sys.stderr = before[1] and _Guarded(before[1], needed=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Guarded:
    """A text stream that, once it could not be written, takes no more."""

    def __init__(self, stream: Any, *, needed: bool) -> None:
        self._stream, self._needed = stream, needed
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        self._call(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._call(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _call(self, action: Callable[..., object], *arguments: str) -> None:
        if self._error is None:
            try:
                action(*arguments)
            except OSError as error:
                self._error = error
                # What the stream still holds would fail again when Python ends.
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
        # Every time, because a library may have tried the stream out and swallowed the first.
        if self._error is not None and self._needed:
            raise OutputLost(self._error) from self._error


def _raise_exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)

"""Where the time of the operator library's operators goes: what their recorder has seen.

``native/base/recorder.h`` draws a record.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.ops.c_functions import recorder_functions

NODE, SECTION, TASK = 0, 1, 2
"""Spans of a node's run, of a ParallelFor in it and of a task in that."""
PHASES = {3: "pack", 4: "conv", 5: "conv1", 6: "conv2", 7: "conv3"}
"""Spans in a task, and what it did."""

RECORD = np.dtype(
    [
        ("begin", "<i8"),
        ("end", "<i8"),
        ("thread", "<u8"),
        ("run", "<u4"),
        ("node", "<u2"),
        ("span", "<u2"),
    ]
)
"""Times in nanoseconds of the clock that :func:`time.perf_counter_ns` reads on Linux."""


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Attributes:
        records: of type :data:`RECORD`, in no order.
        names: of the nodes, by their numbers.
        lost: records that there was no room for.
    """

    records: np.ndarray
    names: list[str]
    lost: int


class Recorder:
    """Records the runs of our operators in this process, whoever starts them.

    Args:
        library: the operator library to record; the installed one by default.
        capacity: records at a time, of 32 bytes; a residual block makes some dozens.

    Raises:
        MissingDependencyError: there is no operator library, or an older one.
    """

    def __init__(
        self, library: str | os.PathLike[str] | None = None, capacity: int = 1 << 18
    ) -> None:
        self._library = recorder_functions(library)
        self._handle = self._library.adafuse_recorder_create(capacity)
        if not self._handle:
            raise MemoryError(f"there is no memory for {capacity} records")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self._library.adafuse_recorder_free(self._handle)
        self._handle = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record what begins in this block, instead of what was recorded before.

        Raises:
            InputError: another recorder of this process is running.
        """
        if self._library.adafuse_recorder_start(self._handle):
            raise InputError(
                "Another profile of this process is being taken; wait until it is done."
            )
        try:
            yield
        finally:
            self._library.adafuse_recorder_stop(self._handle)

    def read(self) -> Recording:
        """Return a copy of what was recorded last."""
        library, handle = self._library, self._handle
        count = library.adafuse_recorder_count(handle)
        content = ctypes.string_at(
            library.adafuse_recorder_records(handle) or 0, count * RECORD.itemsize
        )
        names: list[str] = []
        while (name := library.adafuse_recorder_node(handle, len(names))) is not None:
            names.append(name.decode())
        lost = library.adafuse_recorder_lost(handle)
        return Recording(np.frombuffer(content, RECORD), names, lost)

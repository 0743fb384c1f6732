"""One engine in a process of its own, so that neither memory nor threads mix with the others'."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from adafuse_deploy.core.errors import AdaFuseError

if TYPE_CHECKING:
    from adafuse_deploy.engines.engine import Engine


@dataclass(frozen=True)
class Sample:
    """One run of an engine: wall-clock seconds, and CPU seconds of its process."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Job:
    """What a contender runs.

    Attributes:
        name: for the report.
        path: the graph or checkpoint.
        backend: as for :func:`adafuse_deploy.load_engine`.
        threads, clips: how many.
        precision: that the runtime shall compute in, None for the file's own.
        environment: variables to set before the runtime is loaded.
        inputs: ``.npy`` file of clips float32 (K, T, 3, H, W) that take turns; random ones if None.
    """

    name: str
    path: Path
    backend: str
    threads: int
    clips: int
    precision: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: Path | None = None


class Contender:
    """A job in a child process.

    Attributes:
        name: for the report.
        load_ms: time from the imported runtime and file to an engine that can run.

    Raises:
        AdaFuseError: the engine cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        self.name = job.name
        context = multiprocessing.get_context("spawn")  # no runtime survives a fork
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(job, child), daemon=True)
        self._process.start()
        child.close()
        (self.load_ms,) = self._receive()

    def run(self) -> Sample:
        """Run the engine once."""
        self._pipe.send("run")
        seconds, cpu_seconds = self._receive()
        return Sample(seconds, cpu_seconds)

    def peak_rss_mb(self) -> float:
        """Return the most memory the process ever held, loading included, in MB."""
        self._pipe.send("VmHWM")
        (peak,) = self._receive()
        return peak

    def rss_mb(self) -> float:
        """Return the memory the process holds now, in MB."""
        self._pipe.send("VmRSS")
        (now,) = self._receive()
        return now

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()  # which ends the child
        self._process.join()

    def _receive(self) -> tuple[float, ...]:
        try:
            answer: object = self._pipe.recv()
        except EOFError:
            raise AdaFuseError(
                f"The process that ran {self.name} ended unexpectedly, perhaps for lack of memory; "
                "leave this peer out with --peers or use fewer clips."
            ) from None
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, tuple)
        return answer


def _serve(job: Job, pipe: Connection) -> None:
    os.environ.update(job.environment)  # before any runtime looks at it
    from adafuse_deploy.engines.backends import find_backend
    from adafuse_deploy.engines.loader import load_engine

    try:
        find_backend(job.backend).load()  # importing is no part of loading an engine
        start = time.perf_counter()
        engine = load_engine(
            job.path, threads=job.threads, backend=job.backend, precision=job.precision
        )
        pipe.send((1e3 * (time.perf_counter() - start),))
    except AdaFuseError as error:
        pipe.send(error)
        return
    call = _call(engine, job)
    while True:
        try:
            command = pipe.recv()
        except EOFError:
            return
        if command != "run":
            pipe.send((process_memory_mb(command),))
            continue
        start, cpu = time.perf_counter(), time.process_time()
        call()
        pipe.send((time.perf_counter() - start, time.process_time() - cpu))


def _call(engine: Engine, job: Job) -> Callable[[], object]:
    """Return what is timed: some clips, or the next frame of some streams."""
    import numpy as np

    if job.inputs:
        stored = np.load(job.inputs, mmap_mode="r")
        batches = [
            np.array(stored[start : start + job.clips])
            for start in range(0, len(stored) - job.clips + 1, job.clips)
        ]
    else:
        shape = (job.clips, *engine.metadata.input_shape)
        batches = [np.random.default_rng(0).standard_normal(shape, np.float32)]
    turns = itertools.cycle(batches)
    if engine.metadata.mode == "stream":
        stream = engine.stream(job.clips)
        return lambda: stream.push(next(turns))
    return lambda: engine.run(next(turns))


def process_memory_mb(entry: str) -> float:
    """Return "VmRSS", what the process holds, or "VmHWM", the most it ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage() would give the parent's peak where that is higher: it survives exec.
        for line in status.read_text().splitlines():
            if line.startswith(f"{entry}:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

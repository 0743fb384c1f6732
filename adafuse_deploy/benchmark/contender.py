"""One engine in a process of its own, so that neither memory nor threads mix with the others'."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from adafuse_deploy.errors import AdaFuseError


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
        self._pipe.send("memory")
        (peak,) = self._receive()
        return peak

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
    import numpy as np

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
    shape = (job.clips, *engine.metadata.input_shape)
    if job.inputs:
        stored = np.load(job.inputs, mmap_mode="r")
        batches = [
            np.ascontiguousarray(stored[i : i + job.clips])
            for i in range(0, len(stored) - job.clips + 1, job.clips)
        ]
    else:
        batches = [np.random.default_rng(0).standard_normal(shape, np.float32)]
    turns = itertools.cycle(batches)
    while True:
        try:
            command = pipe.recv()
        except EOFError:
            return
        if command == "memory":
            pipe.send((_peak_rss_mb(),))
            continue
        clips = next(turns)
        start, cpu = time.perf_counter(), time.process_time()
        engine.run(clips)
        pipe.send((time.perf_counter() - start, time.process_time() - cpu))


def _peak_rss_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage() would give the parent's peak where that is higher: it survives exec.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

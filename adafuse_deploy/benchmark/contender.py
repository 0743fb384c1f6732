"""One engine in a process of its own, so that neither memory nor threads mix with the others'."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
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
    """

    name: str
    path: Path
    backend: str
    threads: int
    clips: int


class Contender:
    """A job in a child process.

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
        self._receive()

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
    import numpy as np

    from adafuse_deploy.engines.loader import load_engine

    try:
        engine = load_engine(job.path, threads=job.threads, backend=job.backend)
    except AdaFuseError as error:
        pipe.send(error)
        return
    shape = (job.clips, *engine.metadata.clip_shape)
    clips = np.random.default_rng(0).standard_normal(shape, np.float32)
    pipe.send(())
    while True:
        try:
            command = pipe.recv()
        except EOFError:
            return
        if command == "memory":
            pipe.send((_peak_rss_mb(),))
            continue
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

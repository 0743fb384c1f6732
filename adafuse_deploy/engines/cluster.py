"""Many videos labelled by the engines of a Ray cluster, with the rows that one machine gives.

Every engine is an actor of Ray Data with processes that read videos for it: the pipeline of
:class:`LocalLabeller`.  Between machines go names of videos in lots, and rows; no pixels.  Ray
gives a lot to another actor when a worker or a node is lost.  A lot that ends its workers again and
again is tried once more video by video; the one that does it gets a row with an error.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any, NoReturn

from adafuse_deploy import __version__
from adafuse_deploy.core import errors
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import (
    AdaFuseError,
    IncompatibleArtifactError,
    InputError,
    MissingDependencyError,
)
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.packages import explained
from adafuse_deploy.data.inputs import Video
from adafuse_deploy.engines.labelling import (
    LabelledVideo,
    LabelOptions,
    LocalLabeller,
    label_columns,
)
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.suffixes import ENGINES

MOST_IN_A_LOT = 64
"""Videos that are lost and labelled again when a worker dies."""
_SECONDS_TO_KNOCK = 5.0
_ATTEMPTS = 3
"""At a lot that ends its workers."""


@dataclass(frozen=True)
class EngineOfWorker:
    """How a worker opens its engine.

    Attributes:
        model: path, the same on every node.
        model_sha256: of that file.
        operator_library, threads: as for :func:`load_engine`.
        options: how videos are labelled.
        folder: that relative paths start from, where a node has it.
        version: adafuse-deploy that every node must have.
    """

    model: str
    model_sha256: str
    operator_library: bool
    threads: int
    options: LabelOptions
    folder: str = field(default_factory=os.getcwd)
    version: str = __version__

    @property
    def cpus(self) -> int:
        """Processors that Ray keeps free for it."""
        return max(1, self.threads, self.options.workers)

    @property
    def gpus(self) -> int:
        """GPUs that Ray keeps free for it: engines of TensorRT need one."""
        return int(self.model.endswith(ENGINES))

    def open(self) -> LocalLabeller:
        """Open it on this machine.

        Raises:
            InputError, MissingDependencyError, IncompatibleArtifactError: as :func:`load_engine`,
                or this node has another model or adafuse-deploy.
        """
        if __version__ != self.version:
            raise IncompatibleArtifactError(
                f"It has adafuse-deploy {__version__}, not {self.version}; install that everywhere."
            )
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        engine = load_engine(
            self.model, operator_library=self.operator_library, threads=self.threads
        )
        if sha256(self.model) != self.model_sha256:
            raise IncompatibleArtifactError(
                f"Its {self.model} is another file; copy the same model to every node."
            )
        return LocalLabeller(engine, self.options)


class Cluster:
    """A Ray cluster that labels videos.

    Args:
        address: "auto" for the cluster that this machine belongs to, or as ``ray.init`` takes it.
        worker: how workers open their engines.
        most: engines at a time; None for as many as there is room for.

    Raises:
        MissingDependencyError: Ray is not installed, or a node has no adafuse-deploy.
        InputError: there is no such cluster; or a node cannot open the model, as
            :meth:`EngineOfWorker.open`.
    """

    def __init__(self, address: str, worker: EngineOfWorker, most: int | None = None) -> None:
        self._ray, self._worker, self._most = _connect(address), worker, most
        try:
            self.engine_name, self.config = self._describe()
        except BaseException:
            self.close()
            raise

    @cached_property
    def places(self) -> int:
        """How many engines the nodes have room for now; 0 where none fits."""
        cpus, gpus = self._worker.cpus, self._worker.gpus
        count = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                by_gpu = has.get("GPU", 0) // gpus if gpus else math.inf
                count += int(min(has.get("CPU", 0) // cpus, by_gpu))
        return count

    def label(self, videos: Sequence[Video]) -> Iterator[LabelledVideo]:
        """Yield every video once, in the order in which they are ready.

        Raises:
            AdaFuseError: a node cannot open the model, as :meth:`EngineOfWorker.open`.
        """
        left = {video.path: video for video in videos}
        for most in (MOST_IN_A_LOT, 1):
            size = max(1, min(most, len(left) // (4 * max(1, self.places))))
            for labelled in self._run(list(left.values()), size):
                if left.pop(labelled.row["path"], None) is not None:
                    yield labelled
        empty = dict.fromkeys(label_columns(min(self._worker.options.top, self.config.num_classes)))
        for path in left:
            fate = f"The workers that were given {path} ended unexpectedly, again and again."
            yield LabelledVideo({**empty, "path": path, "error": fate})

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self, videos: list[Video], size: int) -> Iterator[LabelledVideo]:
        """Yield what workers give back for lots of videos; what they lose is left out."""
        if not videos:
            return
        from ray.data import ActorPoolStrategy, DataContext, from_items

        context = DataContext.get_current()
        context.enable_progress_bars = False
        attempts = self._ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Attempts)
        lots = [
            {"lot": json_text([[v.path, v.num_frames] for v in videos[first : first + size]])}
            for first in range(0, len(videos), size)
        ]
        initial = max(1, min(self.places, len(lots), self._most or len(lots)))
        answers = from_items(lots, override_num_blocks=len(lots)).map(
            _Actor,  # type: ignore[arg-type]
            fn_constructor_args=(self._worker, attempts.remote()),
            compute=ActorPoolStrategy(
                min_size=1,
                initial_size=initial,
                max_size=self._most,
                max_tasks_in_flight_per_actor=2,
            ),
            num_cpus=self._worker.cpus,
            num_gpus=self._worker.gpus,
        )
        try:
            for answer in answers.iter_rows():
                found = json.loads(answer["found"])
                if not isinstance(found, list):
                    _raise(found)
                for row, warnings, notes in found:
                    yield LabelledVideo(row, tuple(warnings), tuple(notes))
        except self._ray.exceptions.RayError as error:
            raise InputError(
                f"The cluster was lost: {_last_line(error)}. Continue with --resume later."
            ) from error

    def _describe(self) -> tuple[str, ModelConfig]:
        """Return the name of the engines and their network's configuration, as a worker has it."""
        resources = {"num_cpus": self._worker.cpus, "num_gpus": self._worker.gpus}
        describe = self._ray.remote(max_retries=0, **resources)(_description)
        try:
            found = json.loads(self._ray.get(describe.remote(self._worker)))
        except self._ray.exceptions.RayError as error:
            raise MissingDependencyError(
                f"A node of the cluster cannot run adafuse-deploy: {_last_line(error)}. Install "
                f"version {__version__} with the same extras on every node."
            ) from error
        if "sentence" in found:
            _raise(found)
        return found["engine"], ModelConfig.from_dict(found["config"])


class _Attempts:
    """Counts how often each lot was begun; Ray itself would begin one for ever."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def begin(self, lot: str) -> int:
        self._counts[lot] += 1
        return self._counts[lot]


class _Actor:
    """A worker's engine, opened when the first lot arrives.

    Args:
        worker: how.
        attempts: the handle of :class:`_Attempts`.
    """

    def __init__(self, worker: EngineOfWorker, attempts: Any) -> None:
        self._worker, self._attempts = worker, attempts

    @cached_property
    def _labeller(self) -> LocalLabeller:
        return self._worker.open()

    def __call__(self, given: dict[str, str]) -> dict[str, str]:
        """Return the rows of a lot in its order, whoever is asked how often; or a failure.

        A lot that was begun too often has none.
        """
        import ray

        if ray.get(self._attempts.begin.remote(given["lot"])) > _ATTEMPTS:
            return {"found": "[]"}
        videos = [Video(*entry) for entry in json.loads(given["lot"])]
        try:
            found = {labelled.row["path"]: labelled for labelled in self._labeller.label(videos)}
        except AdaFuseError as error:
            return {"found": _failure(error)}
        except Exception as error:  # Ray would tell of it in a page
            unexpected = f"Unexpected error: {type(error).__name__}: {error}"
            return {"found": _failure(AdaFuseError(unexpected))}
        ordered = (found[video.path] for video in videos)
        return {"found": json_text([[one.row, one.warnings, one.notes] for one in ordered])}


def _description(worker: EngineOfWorker) -> str:
    """Return what a worker's engine is, or a failure, as JSON."""
    try:
        with worker.open() as labeller:
            config = labeller.config.to_dict()
            return json_text({"engine": labeller.engine_name, "config": config})
    except AdaFuseError as error:
        return _failure(error)


def _last_line(error: Exception) -> str:
    """Return what an error of Ray says at the end of the first traceback of a worker."""
    cause, _, _ = str(error).partition("The above exception was the direct cause")
    lines = cause.strip().splitlines() or [type(error).__name__]
    return lines[-1].rstrip(".")


def _failure(error: AdaFuseError) -> str:
    sentence = f"On the node {os.uname().nodename}: {error}"
    return json_text({"kind": type(error).__name__, "sentence": sentence})


def _raise(failure: dict[str, str]) -> NoReturn:
    raise getattr(errors, failure["kind"])(failure["sentence"])


def _connect(address: str) -> ModuleType:
    """Join a cluster; what Ray logs and how it ends a process stays out of the way.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: there is no such cluster.
    """
    with explained():
        import ray
        import ray.data
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
        raise InputError(
            f"There is no Ray cluster at {address} ({_last_line(error)}); start one with 'ray "
            "start --head', or name another with --ray."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    return ray


def _knock(address: str) -> None:
    """See that somebody listens at a host and port; Ray itself would wait for minutes.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_KNOCK).close()

"""Opening every engine that a verification can compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from adafuse_deploy.core.errors import InputError, MissingDependencyError, OtherMachineError
from adafuse_deploy.engines.backends import BACKENDS, Backend
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer

RUN_GRAPHS = ("torch", "onnxruntime", "openvino")
"""Backends that need no engine file."""


def open_engines(
    stack: ExitStack,
    model: VideoRecognizer | None,
    graph: str | os.PathLike[str],
    files: Sequence[str | os.PathLike[str]] = (),
    *,
    backends: Sequence[str] | None = None,
    threads: int | None = None,
) -> tuple[dict[str, Engine], dict[str, str]]:
    """Open one network in every backend.

    Args:
        stack: closes the engines.
        model: the network as trained; None where only files are at hand.
        graph: its export.
        files: engines built from that graph.
        backends: some of :data:`RUN_GRAPHS`; None for all that are present here.
        threads: of the runtimes on the CPU.

    Returns:
        The engines by name; and why others did not run: files that are for another machine or whose
        runtime is missing, and backends that nobody asked for by name and that cannot run here.

    Raises:
        InputError: a backend or file is unusable.
        MissingDependencyError: a backend that was asked for is missing.
        IncompatibleArtifactError: a file was changed or belongs to another version of this tool.
    """
    openers: dict[str, list[tuple[str, Callable[[], Engine]]]] = {
        "torch": [("torch", lambda: _in_pytorch(model, threads))],
        "onnxruntime": [
            ("onnxruntime + operator library", lambda: load_engine(graph, True, threads)),
            ("onnxruntime", lambda: load_engine(graph, False, threads)),
        ],
        "openvino": [("openvino", lambda: load_engine(graph, threads=threads, backend="openvino"))],
    }
    engines: dict[str, Engine] = {}
    not_run: dict[str, str] = {}
    if backends is None and model is None:
        not_run["torch"] = "no --checkpoint was given."
    present = [name for name in RUN_GRAPHS if model is not None or name != "torch"]
    for backend in present if backends is None else backends:
        if backend not in openers:
            raise InputError(
                f"{backend!r} runs no graphs: choose among {', '.join(RUN_GRAPHS)}, and give the "
                "engines of other backends as files."
            )
        for name, opener in openers[backend]:
            try:
                engine = stack.enter_context(opener())
            except MissingDependencyError as error:
                if backends is not None:
                    raise
                not_run[name] = str(error)
            else:
                engines[engine.name] = engine
    built = set()
    for file in map(Path, files):
        try:
            engine = stack.enter_context(load_engine(file, threads=threads))
        except (MissingDependencyError, OtherMachineError) as error:
            not_run[str(file)] = str(error)
            continue
        built.add(engine.name)
        engines[f"{engine.name} {file}"] = engine
    if backends is None:
        missing = (b for b in BACKENDS.values() if b.builds and b.name not in built)
        not_run |= {backend.name: _reason(backend) for backend in missing}
    return engines, not_run


def _in_pytorch(model: VideoRecognizer | None, threads: int | None) -> Engine:
    if model is None:
        raise InputError("PyTorch runs checkpoints, not graphs: give --checkpoint to run it.")
    from adafuse_deploy.engines.pytorch_engine import TorchEngine

    return TorchEngine(model, threads=threads)


def _reason(backend: Backend) -> str:
    """Say why no engine of a backend that builds engines is verified."""
    from adafuse_deploy.engines.cuda_driver import Gpu

    if not backend.installed():
        return f"{backend.title} is not installed; pip install '{backend.package}'."
    try:
        Gpu()
    except MissingDependencyError:
        return f"{backend.title} is installed, but there is no NVIDIA GPU to run its engines."
    return "no engine of it was given; add the file that 'adafuse-deploy build-engine' made."

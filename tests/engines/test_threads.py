"""Several threads may run one engine, and streams of one engine may run in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer

THREADS, ROUNDS = 4, 6
BACKENDS = ["onnxruntime", "operator library", "fused", "openvino", "torch"]

T = TypeVar("T")


def open_engine(backend: str, checkpoint: Path, graph: Path, folder: Path) -> Engine:
    """Open a network in one of :data:`BACKENDS`, with two threads of its own."""
    options: dict[str, Any] = {"threads": None if backend == "torch" else 2}
    if backend == "openvino":
        pytest.importorskip("openvino")
        options["backend"] = "openvino"
    if backend == "fused":
        lower(graph, folder / "fused.onnx")
        return load_engine(folder / "fused.onnx", **options)
    if backend == "torch":
        return load_engine(checkpoint, **options)
    return load_engine(graph, backend != "onnxruntime", **options)


def at_once(work: Callable[[int], T]) -> list[T]:
    """Do work 0, 1, ... in threads that begin together."""
    start = threading.Barrier(THREADS)

    def begin(index: int) -> T:
        start.wait()
        return work(index)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def assert_equal(got: Prediction, expected: Prediction) -> None:
    """The same decisions, and logits to rounding: OpenVINO may sum in another order."""
    for ours, theirs in zip(got.policies, expected.policies, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(got.logits, expected.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_share_an_engine(
    backend: str, tiny_checkpoint: Path, tiny_graph: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    # Batches of several sizes: scratch memory that grows for one run must not move under another.
    clips = [rng.standard_normal((1 + index, 4, 3, 32, 32), np.float32) for index in range(THREADS)]
    with open_engine(backend, tiny_checkpoint, tiny_graph, tmp_path) as engine:
        expected = [engine.run(batch) for batch in clips]
        results = at_once(lambda index: [engine.run(clips[index]) for _ in range(ROUNDS)])
    assert len({tuple(np.ravel(entry.logits)[:5]) for entry in expected}) == THREADS
    for got, wanted in zip(results, expected, strict=True):
        for prediction in got:
            assert_equal(prediction, wanted)


@pytest.fixture(scope="module")
def streaming(
    make_model: Callable[..., VideoRecognizer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A checkpoint that can stream, and its graph."""
    folder = tmp_path_factory.mktemp("streaming")
    model = make_model(
        "adafuse_tsn_resnet18", size=64, width=0.125, num_segments=4, num_classes=3, gate_hidden=16
    )
    save_checkpoint(model, folder / "tiny.pt")
    export(model, folder / "tiny.onnx", mode="stream")
    return folder / "tiny.pt", folder / "tiny.onnx"


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_of_one_engine_run_in_threads_of_their_own(
    backend: str, streaming: tuple[Path, Path], tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).standard_normal((THREADS, ROUNDS, 1, 3, 64, 64), np.float32)

    def watch(index: int) -> list[Prediction]:
        with engine.stream() as stream:
            return [stream.push(frame) for frame in frames[index]]

    with open_engine(backend, *streaming, tmp_path) as engine:
        expected = [watch(index) for index in range(THREADS)]
        results = at_once(watch)
    for got, wanted in zip(results, expected, strict=True):
        for ours, theirs in zip(got, wanted, strict=True):
            assert_equal(ours, theirs)

"""The C and C++ library, installed, and a graph of a stream for it."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.ops.library import operator_library_path
from tests.native.support import ALONE, BUILD, EXAMPLES, ROOT, cmake


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the C++ package was installed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    prefix = tmp_path_factory.mktemp("prefix")
    options = ["-DADAFUSE_BUILD_TESTS=ON", "-DADAFUSE_BUILD_RUNTIME=ON"]
    if ALONE:
        options.append(f"-DADAFUSE_OPERATOR_LIBRARY={operator_library_path()}")
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other processes may be running tests
        python = f"-DPython3_EXECUTABLE={sys.executable}"
        cmake("-S", ROOT / "native", "-B", BUILD, "-G", "Ninja", *options, python)
        targets = ["adafuse_runtime", "adafuse_runtime_static", "test_runtime_engine", *EXAMPLES]
        cmake("--build", BUILD, "--target", *targets)
        cmake("--install", BUILD, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="session")
def stream_model(make_model: Callable[..., VideoRecognizer]) -> VideoRecognizer:
    names = [f"action {i}" for i in range(5)]
    options = {"size": 32, "width": 0.125, "num_segments": 4, "num_classes": 5, "gate_hidden": 16}
    return make_model("adafuse_tsm_online_resnet18", class_names=tuple(names), **options)


@pytest.fixture(scope="session")
def stream_graph(stream_model: VideoRecognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "tiny.stream.onnx"
    export(stream_model, path, mode="stream")
    return path

"""Fixtures for tests of engines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from adafuse_deploy.engines import cuda
from adafuse_deploy.engines.graph import read_graph
from adafuse_deploy.metadata import GraphMetadata
from tests.engines.support import FakeDriver, FakeTensorRT


@pytest.fixture(scope="session")
def tiny_metadata(tiny_graph: Path) -> GraphMetadata:
    """The metadata of the tiny graph."""
    return read_graph(tiny_graph)[1]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A machine with a GPU of compute capability 8.6."""
    driver = FakeDriver()
    monkeypatch.setattr(cuda, "driver", lambda: driver)
    return driver


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU, whatever this one has."""

    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda, "driver", cuda.driver.__wrapped__)
    monkeypatch.setattr(cuda.ctypes, "CDLL", missing)


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """The stand-in for TensorRT, installed."""
    module = FakeTensorRT("tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(FakeTensorRT, "deserialised", 0)
    monkeypatch.setattr(FakeTensorRT, "loaded", [])
    return module


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT not installed, whatever this machine has."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)

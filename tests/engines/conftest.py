"""Fixtures for tests of engines."""

from __future__ import annotations

import sys

import pytest

from adafuse_deploy.engines import cuda_driver
from tests.engines.support import FakeDriver, FakeTensorRT


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A machine with a GPU of compute capability 8.6."""
    driver = FakeDriver()
    monkeypatch.setattr(cuda_driver, "driver", lambda: driver)
    return driver


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

"""Networks that tests share: small, untrained, with policies that differ between frames."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.metadata import GraphMetadata
from tests.nvidia import FakeDriver, FakeTensorRT
from tests.support import SHALLOW

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer

PYTORCH = importlib.util.find_spec("torch") is not None
"""Without it the tests of the runtime run (`make runtime`)."""

# GPU kernels run in Triton's interpreter; it must know before anything imports it.
os.environ["TRITON_INTERPRET"] = "1"

if PYTORCH:
    import torch

    torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-mutations", action="store_true", help="try all mutated graphs, not a sample"
    )


@pytest.fixture(scope="session", autouse=True)
def traced_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let exports of networks of one shape share a trace, in all processes of a test run."""
    if not PYTORCH:
        yield
        return
    from adafuse_deploy.exporters import onnx_exporter
    from tests.traces import SharedTraces

    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_exporter, "_trace", SharedTraces(onnx_exporter._trace, folder))
        yield


def enliven(model: VideoRecognizer, seed: int = 0) -> VideoRecognizer:
    """Give an untrained network the statistics of a trained one.

    Fresh policy networks answer the same for every frame, fresh normalisation does nothing; both
    would hide mistakes.
    """
    from adafuse_deploy.models.gate import PolicyNetwork

    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, PolicyNetwork):
            first, *others = (linear for linear, _, _ in module.layers())
            torch.nn.init.normal_(first.weight, 0, 0.5, generator)
            for linear in others:
                torch.nn.init.normal_(linear.weight, 0, 1, generator)
                torch.nn.init.normal_(linear.bias, 0, 0.5, generator)
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.normal_(module.running_mean, 0, 0.1, generator)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5, generator)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5, generator)
            torch.nn.init.normal_(module.bias, 0, 0.1, generator)
        if isinstance(module, torch.nn.Linear) and module.out_features == model.config.num_classes:
            torch.nn.init.normal_(module.weight, 0, 0.1, generator)
            torch.nn.init.normal_(module.bias, 0, 0.1, generator)
    return model.eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., VideoRecognizer]:
    """Build a registered network with lively random weights.

    ResNets have few blocks, but all kinds of them, since each costs most of a second to trace.
    """
    from adafuse_deploy.models.registry import create_model

    def make(name: str, seed: int = 0, **overrides: Any) -> VideoRecognizer:
        torch.manual_seed(seed)
        if "resnet" in name:
            overrides = {"depths": SHALLOW, **overrides}
        return enliven(create_model(name, **overrides), seed)

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: Callable[..., VideoRecognizer]) -> VideoRecognizer:
    """AdaFuse TSM ResNet-18, an eighth of the width, 4 frames of 32 x 32, 5 classes."""
    return make_model(
        "adafuse_tsm_resnet18",
        size=32,
        width=0.125,
        num_segments=4,
        num_classes=5,
        gate_hidden=16,
        class_names=("left", "right", "up", "down", "still"),
    )


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model: VideoRecognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network saved."""
    from adafuse_deploy.models.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    save_checkpoint(tiny_model, path)
    return path


@pytest.fixture(scope="session")
def tiny_graph(
    tiny_model: VideoRecognizer, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny network exported."""
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.exporters.onnx_exporter import export

    path = tmp_path_factory.mktemp("graph") / "tiny.onnx"
    export(tiny_model, path, checkpoint_sha256=sha256(tiny_checkpoint))
    return path


@pytest.fixture(scope="session")
def served_graph(
    make_model: Callable[..., VideoRecognizer], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """TSM ResNet-18 whose five blocks are as wide as compiled GPU kernels want, exported."""
    from adafuse_deploy.exporters.onnx_exporter import export

    path = tmp_path_factory.mktemp("served_graph") / "served.onnx"
    options = {"size": 64, "num_segments": 3, "num_classes": 4, "gate_hidden": 24}
    export(make_model("adafuse_tsm_resnet18", depths=(2, 1, 1, 1), **options), path)
    return path


@pytest.fixture(scope="session")
def tiny_metadata(tiny_graph: Path) -> GraphMetadata:
    """The metadata of the tiny graph."""
    from adafuse_deploy.graph.read import read_graph

    return read_graph(tiny_graph)[1]


@pytest.fixture(scope="session")
def online_model(make_model: Callable[..., VideoRecognizer]) -> VideoRecognizer:
    """AdaFuse ResNet-18 with online shift, an eighth of the width, 64 x 64 pixels, 3 classes."""
    return make_model(
        "adafuse_tsm_online_resnet18",
        size=64,
        width=0.125,
        num_segments=4,
        num_classes=3,
        gate_hidden=16,
        class_names=("left", "right", "still"),
    )


@pytest.fixture(scope="session")
def stream_graph(online_model: VideoRecognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That network exported for streams."""
    from adafuse_deploy.exporters.onnx_exporter import export

    path = tmp_path_factory.mktemp("stream_graph") / "tiny.stream.onnx"
    export(online_model, path, mode="stream")
    return path


@pytest.fixture
def tiny_clips(tiny_model: VideoRecognizer) -> np.ndarray:
    """Three random clips for the tiny network, float32 (3, 4, 3, 32, 32)."""
    return np.random.default_rng(3).standard_normal((3, 4, 3, 32, 32), np.float32)


@pytest.fixture(scope="session")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of six folders of frames with labels 0...4."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(5)
    lines = []
    for index in range(6):
        video = folder / f"video{index}"
        video.mkdir()
        for frame in range(1, 7):
            pixels = rng.integers(0, 255, (40, 48, 3), np.uint8)
            Image.fromarray(pixels).save(video / f"{frame:05d}.jpg")
        lines.append(f"{video.name} 6 {index % 5}")
    path = folder / "val.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU, whatever this one has."""

    from adafuse_deploy.engines import cuda_driver

    load = cuda_driver.ctypes.CDLL

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        # Others load libraries too, and only once.
        if name.startswith("libcuda.so"):
            raise OSError(f"{name}: cannot open shared object file")
        return load(name, *arguments, **options)

    monkeypatch.setattr(cuda_driver, "driver", cuda_driver.driver.__wrapped__)
    monkeypatch.setattr(cuda_driver.ctypes, "CDLL", missing)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A machine with a GPU of compute capability 8.6."""
    from adafuse_deploy.engines import cuda_driver

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


@pytest.fixture
def null_device(tmp_path: Path) -> Path:
    """A null device of our own: the machine's must not be put at risk."""
    return _device(tmp_path / "null", 3)


@pytest.fixture
def full_device(tmp_path: Path) -> Path:
    """A device of our own that is always full."""
    return _device(tmp_path / "full", 7)


def _device(path: Path, minor: int) -> Path:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        path.open("wb").close()
    except PermissionError as error:
        pytest.skip(f"this process may make no devices: {error}")
    return path

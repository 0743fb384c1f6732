"""Engines of TensorRT for RTX, really built, ahead of time and without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.core.files import sha256
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.sidecar import BatchProfile, read_sidecar
from adafuse_deploy.exporters.build_options import BuildOptions
from adafuse_deploy.exporters.gpu_engine import build_gpu_engine
from adafuse_deploy.exporters.quantize import QuantizeOptions, quantize
from tests.support import run_cli

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")


@pytest.mark.parametrize(
    ("precision", "capabilities"),
    [
        ("fp32", ()),
        ("fp16", ("8.6",)),
        ("fp16", ("7.5", "12.0")),
        ("fp32", ("7.5",)),
        ("bf16", ("8.0", "12.0")),
    ],
)
def test_build(
    tiny_graph: Path, tmp_path: Path, precision: str, capabilities: tuple[str, ...]
) -> None:
    target = tmp_path / "model.engine"
    sidecar = build_gpu_engine(
        tiny_graph,
        target,
        backend="tensorrt-rtx",
        options=BuildOptions(precision, capabilities, BatchProfile(1, 2, 4)),
    )
    assert target.stat().st_size > tiny_graph.stat().st_size / 4
    assert read_sidecar(target) == sidecar
    assert sidecar.backend_version == trt.__version__
    assert sidecar.graph_sha256 == sha256(tiny_graph)
    assert sidecar.compute_capabilities == (capabilities or ("8.0", "8.6", "8.9", "12.0", "12.1"))
    assert (sidecar.precision, sidecar.metadata.precision) == (precision, precision)
    assert sidecar.operators is None  # function bodies are inlined


@pytest.fixture(scope="module")
def quantized_graph(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny graph with signed 8-bit feature maps."""
    path = tmp_path_factory.mktemp("quantized") / "tiny.int8.onnx"
    clips = np.random.default_rng(0).standard_normal((2, 4, 3, 32, 32), np.float32)
    quantize(tiny_graph, path, clips, QuantizeOptions(activations="int8"))
    return path


@pytest.mark.parametrize("capability", ["7.5", "8.6", "12.0"])
def test_quantised_graph(quantized_graph: Path, tmp_path: Path, capability: str) -> None:
    options = BuildOptions(compute_capabilities=(capability,))
    target = tmp_path / "model.engine"
    sidecar = build_gpu_engine(quantized_graph, target, backend="tensorrt-rtx", options=options)
    assert (sidecar.precision, sidecar.metadata.precision) == ("int8", "int8")
    assert sidecar.metadata.calibration["clips"] == 2


def test_quantise_and_build(tiny_graph: Path, listing: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "model.engine"
    arguments = ("--backend", "tensorrt-rtx", "--compute-capability", "8.6", "--int8")
    code = run_cli("build-engine", tiny_graph, "-o", target, *arguments, "--data", listing)
    assert code == 0
    assert "int8, compute capability 8.6" in capsys.readouterr().out
    sidecar = read_sidecar(target)
    assert sidecar.graph_sha256 == sha256(tiny_graph)  # the file that the user has
    calibration = sidecar.metadata.calibration
    assert (calibration["activations"], calibration["clips"]) == ("int8", 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.engine",
        "model.engine.json",
    ]


@pytest.mark.parametrize("precision", [None, "int8"])
def test_unsigned_feature_maps(tiny_graph: Path, tmp_path: Path, precision: str | None) -> None:
    """The parser takes them for signed ones, with a warning that nobody sees."""
    path = tmp_path / "unsigned.onnx"
    clips = np.random.default_rng(0).standard_normal((1, 4, 3, 32, 32), np.float32)
    quantize(tiny_graph, path, clips)
    with pytest.raises(InputError, match=r"cut off at half their range; .* --activations int8"):
        build_gpu_engine(
            path,
            tmp_path / "m.engine",
            backend="tensorrt-rtx",
            options=BuildOptions(precision),
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["unsigned.onnx"]


def test_precision_that_does_not_fit(
    tiny_graph: Path, quantized_graph: Path, tmp_path: Path
) -> None:
    clip = np.zeros((1, 4, 3, 32, 32), np.float32)
    cases: list[tuple[Path, BuildOptions, Any, str]] = [
        (tiny_graph, BuildOptions("int8"), (), "is not quantised; .* --data LIST"),
        (tiny_graph, BuildOptions("fp16"), clip, "leave out --data"),
        (quantized_graph, BuildOptions("int8"), clip, "quantised already"),
        (quantized_graph, BuildOptions("bf16"), (), "for bf16 build from the float32 graph"),
        (quantized_graph, BuildOptions("fp32"), (), "for fp32 build from the float32 graph"),
        (tiny_graph, BuildOptions("bf16", ("7.5", "8.6")), (), "capability 7.5 .* in bf16"),
        (
            tiny_graph,
            BuildOptions(hardware_compatibility="ampere-plus"),
            (),
            "leave out --hardware-compatibility",
        ),
    ]
    for graph, options, clips, message in cases:
        with pytest.raises(InputError, match=message):
            build_gpu_engine(
                graph, tmp_path / "m.engine", backend="tensorrt-rtx", options=options, clips=clips
            )
    assert list(tmp_path.iterdir()) == []


def test_engine_is_as_the_runtime_wrote_it(tiny_graph: Path, tmp_path: Path) -> None:
    """Nothing is prefixed: the runtime's own reader accepts the header."""
    target = tmp_path / "model.engine"
    build_gpu_engine(tiny_graph, target, backend="tensorrt-rtx")
    assert target.read_bytes()[:4] == b"vtrt"


def test_command(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "model.engine"
    arguments = ("--backend", "tensorrt-rtx", "--compute-capability", "8.6", "--fp16")
    assert run_cli("build-engine", tiny_graph, "-o", target, *arguments) == 0
    output = capsys.readouterr().out
    assert f"{trt.__version__}, fp16, compute capability 8.6, 1 to 8 clips" in output
    assert "every channel computed" in output
    assert run_cli("inspect", target) == 0
    assert "compute capabilities: 8.6" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("no_gpu")
def test_running_needs_a_gpu(tiny_graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.engine"
    build_gpu_engine(tiny_graph, target, backend="tensorrt-rtx")
    with pytest.raises(MissingDependencyError, match="no NVIDIA GPU here"):
        load_engine(target)


@pytest.mark.parametrize("capability", ["8.7", "9.0", "86", "x"])
def test_unknown_compute_capability(tiny_graph: Path, tmp_path: Path, capability: str) -> None:
    options = BuildOptions(compute_capabilities=(capability,))
    with pytest.raises(InputError, match=r"choose among 7\.5, 8\.0, 8\.6, 8\.9, 12\.0, 12\.1"):
        build_gpu_engine(tiny_graph, tmp_path / "m.engine", backend="tensorrt-rtx", options=options)
    assert list(tmp_path.iterdir()) == []


def test_timing_cache(tiny_graph: Path, tmp_path: Path) -> None:
    options = BuildOptions(timing_cache=tmp_path / "cache")
    with pytest.raises(InputError, match="no timing cache"):
        build_gpu_engine(tiny_graph, tmp_path / "m.engine", backend="tensorrt-rtx", options=options)

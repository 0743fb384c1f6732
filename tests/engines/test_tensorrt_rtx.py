"""Engines of TensorRT for RTX, really built, ahead of time and without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adafuse_deploy.engines.builder import build_engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.options import BuildOptions
from adafuse_deploy.engines.sidecar import BatchProfile, read_sidecar
from adafuse_deploy.errors import InputError, MissingDependencyError
from adafuse_deploy.files import sha256
from tests.support import run_cli

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")


@pytest.mark.parametrize(
    ("precision", "capabilities"),
    [("fp32", ()), ("fp16", ("8.6",)), ("fp16", ("7.5", "12.0")), ("fp32", ("7.5",))],
)
def test_build(
    tiny_graph: Path, tmp_path: Path, precision: str, capabilities: tuple[str, ...]
) -> None:
    target = tmp_path / "model.engine"
    sidecar = build_engine(
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


def test_engine_is_as_the_runtime_wrote_it(tiny_graph: Path, tmp_path: Path) -> None:
    """Nothing is prefixed: the runtime's own reader accepts the header."""
    target = tmp_path / "model.engine"
    build_engine(tiny_graph, target, backend="tensorrt-rtx")
    assert target.read_bytes()[:4] == b"vtrt"


def test_command(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "model.engine"
    arguments = ("--backend", "tensorrt-rtx", "--compute-capability", "8.6", "--fp16")
    assert run_cli("build-engine", tiny_graph, "-o", target, *arguments) == 0
    output = capsys.readouterr().out
    assert f"{trt.__version__}, fp16, compute capability 8.6, 1 to 8 clips" in output
    assert "Next, on such a GPU: adafuse-deploy verify" in output
    assert run_cli("inspect", target) == 0
    assert "compute capabilities: 8.6" in capsys.readouterr().out


@pytest.mark.usefixtures("no_gpu")
def test_running_needs_a_gpu(tiny_graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.engine"
    build_engine(tiny_graph, target, backend="tensorrt-rtx")
    with pytest.raises(MissingDependencyError, match="no NVIDIA GPU here"):
        load_engine(target)


@pytest.mark.parametrize("capability", ["8.7", "9.0", "86", "x"])
def test_unknown_compute_capability(tiny_graph: Path, tmp_path: Path, capability: str) -> None:
    options = BuildOptions(compute_capabilities=(capability,))
    with pytest.raises(InputError, match=r"choose among 7\.5, 8\.0, 8\.6, 8\.9, 12\.0, 12\.1"):
        build_engine(tiny_graph, tmp_path / "m.engine", backend="tensorrt-rtx", options=options)
    assert list(tmp_path.iterdir()) == []


def test_timing_cache(tiny_graph: Path, tmp_path: Path) -> None:
    options = BuildOptions(timing_cache=tmp_path / "cache")
    with pytest.raises(InputError, match="no timing cache"):
        build_engine(tiny_graph, tmp_path / "m.engine", backend="tensorrt-rtx", options=options)

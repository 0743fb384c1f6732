"""The scripts behind docs/gpu.md, on small networks."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from adafuse_deploy.engines.sidecar import read_sidecar
from adafuse_deploy.exporters.build_options import BuildOptions
from adafuse_deploy.exporters.gpu_engine import build_gpu_engine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.given_policies import force_policies
from adafuse_deploy.graph.half_precision import to_half
from adafuse_deploy.graph.read import inlined, read_graph
from adafuse_deploy.models.layers import temporal_shift
from adafuse_deploy.models.registry import create_model

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import gpu_benchmark
import half_precision
import page
import rtx_engines


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_rounding_is_that_of_half_precision(
    tiny_graph: Path, tiny_clips: np.ndarray, precision: str
) -> None:
    """The reference evaluator rounds after every operator, too, but sums in half precision."""
    graph = inlined(read_graph(tiny_graph)[0])
    exact = half_precision.run(graph, tiny_clips)
    got = half_precision.run(half_precision.rounded(graph, precision), tiny_clips)
    half = to_half(graph, precision)
    names = [output.name for output in half.graph.output]
    results = ReferenceEvaluator(half).run(names, {"frames": tiny_clips})
    expected = dict(zip(names, results, strict=True))["logits"]
    noise = np.abs(exact["logits"] - expected).max()
    assert 0.2 * noise < np.abs(exact["logits"] - got["logits"]).max() < 5 * noise


def test_obeyed_decisions_change_nothing_where_they_are_the_same(
    tiny_graph: Path, tiny_clips: np.ndarray
) -> None:
    graph = inlined(read_graph(tiny_graph)[0])
    free = half_precision.run(graph, tiny_clips)
    policies = [values for name, values in free.items() if name.startswith("policy")]
    led = half_precision.run(force_policies(graph, policies), tiny_clips)
    np.testing.assert_array_equal(led["logits"], free["logits"])
    other = [np.full_like(policy, 2) for policy in policies]
    led = half_precision.run(force_policies(graph, other), tiny_clips)
    assert np.abs(led["logits"] - free["logits"]).max() > 1e-3


@pytest.mark.parametrize("precision", rtx_engines.PRECISIONS)
@pytest.mark.parametrize("capability", rtx_engines.CAPABILITIES)
def test_engines_for_every_gpu(
    tiny_graph: Path, tmp_path: Path, precision: str, capability: str
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    graph = tmp_path / "tiny.onnx"
    shutil.copy(tiny_graph, graph)
    _, megabytes = rtx_engines.build(graph, precision, capability)
    sidecar = read_sidecar(graph.with_suffix(".engine"))
    assert sidecar.compute_capabilities == (capability,)
    assert (sidecar.batch.min, sidecar.batch.max) == (1, 8)
    assert megabytes == graph.with_suffix(".engine").stat().st_size / 1e6


@pytest.mark.slow
@pytest.mark.parametrize("network", rtx_engines.NETWORKS)
def test_full_networks_for_all_gpus(network: str, tmp_path: Path) -> None:
    """One engine for all generations, of the size that users deploy."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    graph, engine = tmp_path / "model.onnx", tmp_path / "model.engine"
    export(create_model(network).eval(), graph)
    sizes = []
    for precision in rtx_engines.PRECISIONS:
        options = BuildOptions(precision, rtx_engines.CAPABILITIES, rtx_engines.BATCH)
        sidecar = build_gpu_engine(graph, engine, backend="tensorrt-rtx", options=options)
        assert sidecar.compute_capabilities == rtx_engines.CAPABILITIES
        sizes.append(engine.stat().st_size)
    assert sizes[1] < sizes[0]


def test_benchmark_without_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton")
    output = tmp_path / "gpu"
    monkeypatch.setattr(gpu_benchmark, "ROOT", tmp_path)  # where no plugin harness is
    arguments = ["--device", "cpu", "--tiny", "--output", str(output)]
    assert gpu_benchmark.main(arguments) == 0
    text = (output / "cpu.md").read_text()
    assert "No figure here says anything about speed." in text and text in capsys.readouterr().out
    report = json.loads((output / "cpu.json").read_text())
    assert len(report["kernels"]) == 9 and max(entry["error"] for entry in report["kernels"]) > 0
    assert [timed["clips"] for timed in report["networks"]] == [1, 2]
    assert {row["mix"] for row in report["networks"][0]["adaptive"]} == set(gpu_benchmark.mixes())
    fewer = {row["mix"]: row["fewer_macs"] for row in report["networks"][0]["adaptive"]}
    assert fewer["dense"] < 1 < fewer["sthv1"] < fewer["jester"]
    assert report["plugin"]["result"] == "not built (make plugin)"
    assert gpu_benchmark.failures(report) == []
    report["kernels"][0]["error"] = float("nan")
    report["logits_error"] = 0.1
    assert len(gpu_benchmark.failures(report)) == 2


def test_benchmark_on_a_gpu_needs_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_benchmark.main([]) == 3
    assert "no NVIDIA GPU" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "result"), [(0, "passed"), (77, "skipped"), (1, "failed (1)")])
def test_plugin_harness(tmp_path: Path, status: int, result: str) -> None:
    path = tmp_path / "test_plugin_on_gpu"
    path.write_text(f"#!/bin/sh\necho said\nexit {status}\n")
    path.chmod(0o755)
    assert gpu_benchmark.run_harness(path) == {"result": result, "output": "said\n"}


def test_shift_of_channels_last_frames() -> None:
    x = torch.randn(6, 10, 4, 5).contiguous(memory_format=torch.channels_last)
    shifted = gpu_benchmark.ChannelsLastPass(3, lambda logits: logits).shift(x, "bidirectional", 4)
    assert shifted.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(shifted, temporal_shift(x, 3, "bidirectional", 4))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1.0, 0.5), (0.5, 0.9)], None),
        ([(1.0, 1.2), (0.5, 2.0)], 1.0),
        ([(0.2, 2.0), (1.0, 0.8), (0.6, 1.2)], 0.8),
    ],
)
def test_break_even(points: list[tuple[float, float]], expected: float | None) -> None:
    assert gpu_benchmark.break_even(points) == pytest.approx(expected)


def test_sections_of_pages(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- t: scripts/x.py writes it -->old<!-- end of t -->\nb\n")
    for _ in range(2):
        page.write_section(path, "t", "x.py", page.table(["k", "v"], [["1", "2"]]))
        assert path.read_text() == (
            "a\n<!-- t: scripts/x.py writes it -->\n\n| k | v |\n| --- | --- |\n| 1 | 2 |\n\n"
            "<!-- end of t -->\nb\n"
        )
    with pytest.raises(SystemExit, match="has no section"):
        page.write_section(path, "other", "x.py", "")

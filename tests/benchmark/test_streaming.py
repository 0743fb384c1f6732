"""The benchmark of streams: what it forces is what is computed, and what it reports is complete."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adafuse_deploy.benchmark import streaming
from adafuse_deploy.benchmark.graphs import force_stream_policies
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.streaming import (
    StreamBenchmarkOptions,
    report_lines,
    run_stream_benchmark,
)
from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.gate import fixed
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import model_config
from adafuse_deploy.report.bench_page import bench_page
from adafuse_deploy.report.page import render
from tests.report.pages import PageReader, assert_needs_nothing

SMALL = {"size": 64, "width": 0.125, "num_segments": 4, "num_classes": 3, "gate_hidden": 8}

Exported = tuple[VideoRecognizer, Path, GraphMetadata]


@pytest.fixture(scope="module")
def exported(
    make_model: Callable[..., VideoRecognizer], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """A network, its stream graph and what that says of itself."""
    model = make_model("adafuse_tsn_resnet18", **SMALL)
    path = tmp_path_factory.mktemp("streaming") / "stream.onnx"
    return model, path, export(model, path, mode="stream")


def test_forced_policies_are_obeyed_frame_after_frame(exported: Exported, tmp_path: Path) -> None:
    model, graph, metadata = exported
    path = Path(shutil.copy(graph, tmp_path))
    rng = np.random.default_rng(0)
    policies = [rng.integers(0, 3, (4, w)).astype(np.int32) for w in gate_widths(metadata.layers)]
    force_stream_policies(path, policies)
    clip = rng.standard_normal((1, 4, 3, 64, 64), np.float32)
    given = [torch.from_numpy(policy[None]) for policy in policies]
    expected = model.predict(clip, fixed(given)).frame_logits
    with load_engine(path, threads=1) as engine, engine.stream() as stream:
        for t in range(4):
            got = stream.push(clip[0, t]).frame_logits[:, 0]
            np.testing.assert_allclose(got, expected[:, t], rtol=1e-4, atol=1e-5)
        stream.push(clip[0, 0])  # the first frame's policies again
        stream.reset()
        got = stream.push(clip[0, 0]).frame_logits[:, 0]
        np.testing.assert_allclose(got, expected[:, 0], rtol=1e-4, atol=1e-5)


def test_streams_obey_policies_of_their_own(exported: Exported, tmp_path: Path) -> None:
    model, graph, metadata = exported
    path = Path(shutil.copy(graph, tmp_path))
    rng = np.random.default_rng(0)
    policies = [rng.integers(0, 3, (4, w)).astype(np.int32) for w in gate_widths(metadata.layers)]
    force_stream_policies(path, policies, streams=2)
    clip = rng.standard_normal((1, 4, 3, 64, 64), np.float32)
    with load_engine(path, threads=1) as engine, engine.stream(2) as stream:
        got = [stream.push(np.stack([frame, frame])).frame_logits for frame in clip[0]]
    for i, start in enumerate((0, 2)):
        given = [torch.from_numpy(np.roll(policy, -start, 0)[None]) for policy in policies]
        expected = model.predict(clip, fixed(given)).frame_logits[0]
        for t in range(4):
            np.testing.assert_allclose(got[t][i, 0], expected[t], rtol=1e-4, atol=1e-5)


def test_a_small_run() -> None:
    options = StreamBenchmarkOptions(
        mix=(0.6, 0.2, 0.2),
        peers=("onnxruntime",),
        frames=3,
        memory_frames=20,
        max_disturbance=100.0,
    )
    report = run_stream_benchmark(model_config("adafuse_tsn_resnet18", **SMALL), options)
    json_text(report)
    per_frame = sum(layer["gmacs"] for layer in report["layers"])
    assert per_frame == pytest.approx(report["macs_adaptive"] / 1e9, rel=1e-4)
    page = PageReader(render(bench_page({"precision": "fp32", "arch": "<x>", **report}, {})))
    assert_needs_nothing(page)
    assert "<x> in fp32" in page.text and "state of a stream" in page.text
    names = [peer["name"] for peer in report["peers"]]
    assert names == ["onnxruntime frame", "onnxruntime window"]
    for entry in (report["ours"], *report["peers"]):
        assert entry["samples"] >= 3 and 0 < entry["p50_ms"] <= entry["p99_ms"]
        assert entry["peak_rss_mb"] > 0
    assert report["speedup_over_window"] == pytest.approx(
        report["peers"][1]["p50_ms"] / report["ours"]["p50_ms"]
    )
    assert 0 < report["macs_adaptive"] < report["macs_dense"]
    assert [sample["frames"] for sample in report["memory"]] == list(range(0, 21, 2))
    assert all(sample["rss_mb"] > 0 for sample in report["memory"])
    assert len(report_lines(report)) == 5 and report["missing"] == []


def test_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    options = StreamBenchmarkOptions(
        mix=(0.6, 0.2, 0.2),
        precision="bf16",
        frames=2,
        memory_frames=10,
        max_disturbance=100.0,
    )
    machine = {**describe_machine(), "instruction_sets": ["avx512_bf16"]}
    monkeypatch.setattr(streaming, "describe_machine", lambda: machine)
    report = run_stream_benchmark(model_config("adafuse_tsn_resnet18", **SMALL), options)
    assert {entry["precision"] for entry in (report["ours"], *report["peers"])} == {"bf16"}
    assert [peer["name"] for peer in report["peers"]] == ["openvino frame", "openvino window"]
    assert [entry["name"] for entry in report["missing"]] == ["onnxruntime"]
    assert report_lines(report)[0].startswith("onnxruntime          missing: not available")


def test_refusals() -> None:
    with pytest.raises(InputError, match="fp32 or bf16, not in int8"):
        StreamBenchmarkOptions(mix=(0, 0, 1), precision="int8")
    with pytest.raises(InputError, match="not torch"):
        StreamBenchmarkOptions(mix=(0, 0, 1), peers=("torch",))
    options = StreamBenchmarkOptions(mix=(0, 0, 1), peers=("onnxruntime",))
    with pytest.raises(InputError, match="with gates"):
        run_stream_benchmark(model_config("tsn_resnet18", **SMALL), options)
    with pytest.raises(InputError, match="bidirectional"):
        run_stream_benchmark(model_config("adafuse_tsm_resnet18", **SMALL), options)

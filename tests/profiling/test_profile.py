"""Profiles of small networks: every layer in one row, work as the cost table counts it, one sum."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adafuse_deploy import load_engine
from adafuse_deploy.benchmark.mixes import MIXES, draw_policies
from adafuse_deploy.core.cost import clip_macs, dense_macs
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.video import write_video
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.read import read_metadata
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.ops.recorder import Recorder
from adafuse_deploy.profiling.profiler import ProfileOptions, profile
from adafuse_deploy.profiling.report import Profile
from tests.report.pages import assert_needs_nothing, assert_numbers_are_those_of, read
from tests.support import run_cli

QUICK = ProfileOptions(rounds=3)


@pytest.fixture(scope="module")
def fused(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused") / "tiny.cpu.onnx"
    lower(tiny_graph, path)
    return path


@pytest.fixture(scope="module")
def fused_stream(stream_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused_stream") / "tiny.stream.cpu.onnx"
    lower(stream_graph, path)
    return path


def check(found: Profile, graph: Path) -> None:
    """Check what holds of every profile."""
    metadata = read_metadata(graph)
    counted = Counter(name for row in found.rows for name in row.layers)
    wanted = {layer.name for layer in metadata.layers if layer.macs}
    assert set(counted) == wanted and max(counted.values()) == 1
    frames = metadata.config.num_segments if metadata.mode == "clip" else 1
    dense, asked, done = found.macs
    assert dense == dense_macs(metadata.layers, frames, policy_networks=True)
    assert 0 < asked <= done <= dense
    total = sum(row.ms for row in found.rows) + found.runtime_ms
    assert total == pytest.approx(found.recorded_ms)
    for row in found.rows:
        assert row.ms > 0
        if row.phases:
            assert sum(row.phases.values()) == pytest.approx(row.ms)
            assert min(row.phases.values()) >= 0, row


def test_a_fused_graph(fused: Path, tmp_path: Path) -> None:
    found = profile(fused, options=ProfileOptions(threads=2, rounds=3))
    check(found, fused)
    kinds = {row.name: set(row.phases) for row in found.rows if row.layers}
    assert {"pack", "conv1", "conv2", "wait"} <= kinds["layer1.0"]
    assert {"policy", "wait"} <= kinds["layer1.0.gate1"] and "conv" in kinds["conv1"]
    metadata = read_metadata(fused)
    noise = np.random.default_rng(0).standard_normal((1, *metadata.clip_shape), np.float32)
    with load_engine(fused) as engine:
        assert found.macs[1:] == (engine.run(noise).macs[0],) * 2
    row = next(row for row in found.rows if row.name == "layer2.0")
    assert row.weight_bytes > 4 * sum(
        layer.macs // (4 * 4) for layer in metadata.layers if layer.name in row.layers
    )
    peak = found.peaks["fp32"] * 1e6
    assert row.peak_share == pytest.approx(row.macs_done / row.ms / peak)


@pytest.mark.parametrize("operator_library", [True, False])
def test_a_portable_graph(tiny_graph: Path, operator_library: bool) -> None:
    options = ProfileOptions(rounds=3, operator_library=operator_library)
    found = profile(tiny_graph, options=options)
    if operator_library:
        check(found, tiny_graph)
        assert found.macs[1] == found.macs[2] < found.macs[0]
        return
    # Function bodies compute everything, in nodes that are no more those of the graph.
    assert not any(row.phases for row in found.rows)
    assert found.macs[2] == found.macs[0]


@pytest.mark.parametrize("form", ["stream_graph", "fused_stream"])
def test_streams(form: str, request: pytest.FixtureRequest) -> None:
    graph = request.getfixturevalue(form)
    found = profile(graph, options=QUICK)
    check(found, graph)
    metadata = read_metadata(graph)
    noise = np.random.default_rng(0).standard_normal(metadata.clip_shape, np.float32)
    with load_engine(graph) as engine, engine.stream() as stream:
        macs = [stream.push(frame).macs[0] for frame in noise]
    assert found.macs[1] == pytest.approx(np.mean(macs))
    assert found.runs == 3 * len(noise)
    # The state of a block's features: what it read before, and what conv1 gave.
    with_state = {row.name for row in found.rows if row.state_bytes}
    assert "layer1.0" in {name.removesuffix(".conv1") for name in with_state}
    whole = sum(4 * np.prod(tensor.shape) for tensor in metadata.state)
    assert max(row.state_bytes for row in found.rows) < 2 * whole


@pytest.mark.parametrize("form", ["fused", "fused_stream"])
def test_a_mix(form: str, request: pytest.FixtureRequest) -> None:
    graph = request.getfixturevalue(form)
    found = profile(graph, options=QUICK, mix=MIXES["jester"])
    metadata = read_metadata(graph)
    frames = metadata.config.num_segments
    policies = draw_policies(metadata.layers, MIXES["jester"], 1, frames)
    runs = 1 if metadata.mode == "clip" else frames
    expected = clip_macs(metadata.layers, policies, frames)[0] / runs
    assert found.macs[1] == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_precisions(tiny_graph: Path, tmp_path: Path, precision: str) -> None:
    from adafuse_deploy.exporters.quantize import quantize

    source, graph = tiny_graph, tmp_path / "fused.onnx"
    if precision == "int8":
        source = tmp_path / "quantized.onnx"
        shape = read_metadata(tiny_graph).clip_shape
        quantize(tiny_graph, source, [np.random.default_rng(0).standard_normal(shape, np.float32)])
    lower(source, graph, precision=precision)
    check(profile(graph, options=QUICK), graph)


@pytest.mark.slow
def test_inception(make_model: Callable[..., VideoRecognizer], tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": 64, "num_segments": 2, "num_classes": 3}
    model = make_model("adafuse_tsn_bninception", gate_hidden=8, **options)
    portable, graph = tmp_path / "portable.onnx", tmp_path / "fused.onnx"
    export(model, portable)
    lower(portable, graph)
    found = profile(graph, options=QUICK)
    check(found, graph)
    assert {"pack", "conv"} <= {phase for row in found.rows for phase in row.phases}


def test_the_time_line(fused: Path, tmp_path: Path) -> None:
    """Spans of a thread lie one in another or beside each other: Perfetto draws no others."""
    target = tmp_path / "trace.json"
    profile(fused, options=ProfileOptions(threads=2, rounds=2), trace=target)
    content = json.loads(target.read_text())
    events = content["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X"}
    spans = [event for event in events if event["ph"] == "X"]
    assert all(event["dur"] >= 0 and isinstance(event["name"], str) for event in spans)
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    tracks = defaultdict(list)
    for event in spans:
        tracks[event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["cat"]))
    assert set(tracks) == named
    kinds = {event["cat"] for event in spans}
    assert {"run", "node", "section", "task", "pack", "conv1", "conv2"} <= kinds
    for track, of_track in tracks.items():
        if track == 2:
            continue  # by ONNX Runtime, in whole microseconds
        open_until: list[float] = []
        for begin, end, _ in sorted(of_track, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin + 1e-6:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-6
            open_until.append(end)
    (run,) = tracks[1]
    ours = [span for track in tracks.values() for span in track if span[2] == "node"]
    theirs = [event for event in spans if event["tid"] == 2]
    assert all(run[0] <= begin <= end <= run[1] for begin, end, _ in ours)
    assert len(theirs) > len(ours)
    by_name = {event["name"]: event for event in theirs}
    shifts = [
        by_name[event["name"]]["ts"] - event["ts"] for event in spans if event["cat"] == "node"
    ]
    assert abs(np.median(shifts)) < 1


def test_from_the_command_line(
    fused: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, target, trace = tmp_path / "video.mp4", tmp_path / "profile.json", tmp_path / "t.json"
    write_video(video, np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), np.uint8))
    page = tmp_path / "profile.html"
    options = ["--rounds", 2, "--json", target, "--trace", trace, "--predict", "sthv1"]
    options += ["--saved", "--html", page]
    assert run_cli("profile", fused, video, *options) == 0
    out = capsys.readouterr().out
    values = json.loads(target.read_text())
    names = [row["name"] for row in values["rows"]]
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(names)]] == names
    assert [line.split()[0] for line in lines[1 + len(names) :][:2]] == ["runtime", "total"]
    assert values["decisions"] == "the network's own on video.mp4"
    with load_engine(fused) as engine:
        assert values["macs_asked"] == engine.classify(str(video)).prediction.macs[0]
    saved = values["saved"]
    assert [row["name"] for row in saved["rows"]] == [
        row["name"] for row in values["rows"] if row["layers"]
    ]
    for row in saved["rows"]:
        assert 0 < row["gmacs"] <= row["dense_gmacs"] and row["ms"] > 0 and row["dense_ms"] > 0
        blocks = row["name"].startswith("layer") and "gate" not in row["name"]
        assert blocks or row["saved"] == 0
    total = saved["total"]["macs_share"]
    assert total == pytest.approx(1 - values["macs_asked"] / values["macs_dense"])
    read_page = read(page)
    assert_needs_nothing(read_page)
    assert_numbers_are_those_of(read_page, target)
    assert values["predicted_ms"]["sthv1"] > 0 and "Predicted for sthv1: " in out
    assert json.loads(trace.read_text())["traceEvents"]


def test_errors_are_sentences(
    fused: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = tmp_path / "model.engine"
    engine.write_bytes(b"engine")
    for arguments, code, message in [
        ([tiny_checkpoint], 1, "is a checkpoint"),
        ([engine], 1, "is no graph"),
        ([fused, tmp_path / "no.mp4"], 1, "no.mp4"),
        ([fused, "--policy-mix", "much"], 1, "A policy mix is one of"),
        ([fused, "--predict", "much"], 1, "A policy mix is one of"),
        ([fused, "a.mp4", "--policy-mix", "sthv1"], 2, "leave out VIDEO"),
        ([fused, "--no-operator-library"], 4, "runs only with the operator library"),
        ([fused, "--trace", tmp_path / "trace.txt"], 1, "must end in .json"),
    ]:
        assert run_cli("profile", *arguments) == code, arguments
        error = capsys.readouterr().err
        assert "rror: " in error and message in error and "Traceback" not in error, error


def test_one_profile_of_a_process_at_a_time(fused: Path) -> None:
    with Recorder() as other, other.running():  # noqa: SIM117
        with pytest.raises(InputError, match="Another profile"):
            profile(fused, options=QUICK)
    assert profile(fused, options=QUICK).rows


@pytest.mark.slow
def test_a_network_without_gates(
    make_model: Callable[..., VideoRecognizer], tmp_path: Path
) -> None:
    graph = tmp_path / "dense.onnx"
    model = make_model("tsm_resnet18", size=32, width=0.125, num_segments=2, num_classes=3)
    export(model, graph)
    found = profile(graph, options=QUICK)
    check(found, graph)
    assert found.macs[0] == found.macs[1] and not any(row.phases for row in found.rows)
    with pytest.raises(InputError, match="no gates"):
        profile(graph, options=QUICK, mix=MIXES["sthv1"])

"""The benchmark: what it forces, what it drops, what it reports.  No test judges a time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adafuse_deploy
from adafuse_deploy.benchmark.contender import Sample
from adafuse_deploy.benchmark.graphs import fix_batch, force_policies
from adafuse_deploy.benchmark.mixes import MIXES, draw_policies, parse_mix
from adafuse_deploy.benchmark.peers import why_missing
from adafuse_deploy.benchmark.report import Costs, compare_times
from adafuse_deploy.benchmark.rounds import Times, time_in_turn
from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.errors import CheckFailed, InputError
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.models.gate import fixed
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import model_config
from tests.report.pages import assert_needs_nothing, assert_numbers_are_those_of, read
from tests.support import run_cli

SMALL = model_config("adafuse_tsm_resnet18", size=32, width=0.125, num_segments=2, num_classes=3)


def test_mixes() -> None:
    for name, mix in MIXES.items():
        assert parse_mix(name) == mix
        assert sum(mix) == pytest.approx(1)
    assert parse_mix("0.5,0.25,0.25") == (0.5, 0.25, 0.25)
    for wrong in ("kinetics", "0.5,0.5", "0.5,0.5,0.5", "-0.5,1,0.5"):
        with pytest.raises(InputError, match="policy mix"):
            parse_mix(wrong)


def test_drawn_policies_follow_the_mix(tiny_model: VideoRecognizer) -> None:
    policies = draw_policies(tiny_model.layers(), (0.6, 0.1, 0.3), 50, 4)
    assert [policy.shape for policy in policies] == [(50, 4, c) for c in (8, 8, 16, 32, 64)]
    drawn = np.concatenate([policy.reshape(-1) for policy in policies])
    for action, share in ((SKIP, 0.6), (REUSE, 0.1), (KEEP, 0.3)):
        assert np.mean(drawn == action) == pytest.approx(share, abs=0.01)


def test_forced_policies_rule_the_convolutions_only(
    tiny_model: VideoRecognizer, tiny_graph: Path, tiny_clips: np.ndarray, tmp_path: Path
) -> None:
    import torch

    portable, fused = tmp_path / "portable.onnx", tmp_path / "fused.onnx"
    shutil.copy(tiny_graph, portable)
    lower(tiny_graph, fused)
    policies = draw_policies(tiny_model.layers(), MIXES["sthv1"], len(tiny_clips), 4)
    expected = tiny_model.predict(tiny_clips, fixed([torch.from_numpy(p) for p in policies]))
    results = []
    for path in (portable, fused):
        force_policies(path, policies)
        fix_batch(path, len(tiny_clips))
        with adafuse_deploy.load_engine(path) as engine:
            results.append(engine.run(tiny_clips))
        error = np.abs(results[-1].logits - expected.logits).max()
        assert error <= 1e-4 * np.sqrt(np.mean(expected.logits**2))
    # The policy networks still decide, by features that the forced policies made.
    for ours, theirs in zip(results[0].policies, results[1].policies, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert any((a != b).any() for a, b in zip(results[0].policies, policies, strict=True))


class FakeContender:
    """Takes a moment; every second run somebody else is busy."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self) -> Sample:
        self.runs += 1
        return Sample(0.25, 0.125)


def test_disturbed_runs_are_dropped_and_counted() -> None:
    contender = FakeContender()

    def busy() -> float:
        return 1e6 * (contender.runs // 2)

    arguments: dict[str, Any] = {"warmup": 2, "max_seconds": 60.0, "busy_seconds": busy}
    (times,) = time_in_turn([contender], rounds=5, max_disturbance=0.1, **arguments)  # type: ignore[list-item]
    assert times.milliseconds == [250.0] * 5
    assert times.dropped == 4
    (times,) = time_in_turn([contender], rounds=5, max_disturbance=0.1, warmup=0, max_seconds=0.0)  # type: ignore[list-item]
    assert times == Times()


def test_report() -> None:
    entries = [{"name": name} for name in ("ours", "openvino", "torch")]
    times = [Times([10.0, 12.0, 14.0], 1), Times([20.0, 24.0, 28.0]), Times([30.0])]
    report = compare_times(entries, times, Costs(400, 200.0))
    assert [engine["name"] for engine in report["peers"]] == ["openvino", "torch"]
    assert report["best_peer"] == "openvino"
    assert report["speedup"] == pytest.approx(2)
    assert report["realised"] == pytest.approx(1)
    saved = report["saved"]
    assert saved["macs_share"] == saved["time_share"] == pytest.approx(0.5)
    assert (report["samples"], report["dropped"]) == (1, 1)
    assert report["ours"]["p50_ms"] == 12 and report["ours"]["p90_ms"] == pytest.approx(13.6)
    with pytest.raises(CheckFailed, match="All 3 runs of ours were disturbed"):
        compare_times(entries[:1], [Times([], 3)], Costs(400, 200.0))


def test_command_line(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adafuse_deploy.models.registry.model_config", lambda *a, **k: SMALL)
    target = tmp_path / "bench.json"
    arguments = ("--rounds", 2, "--max-disturbance", 1000, "--peers", "openvino,onnxruntime")
    arguments += ("--html", tmp_path / "bench.html")
    assert run_cli("bench", "--policy-mix", "jester", "--json", target, *arguments) == 0
    page = read(tmp_path / "bench.html")
    assert_needs_nothing(page)
    assert_numbers_are_those_of(page, target)
    assert "saving realised" in page.text and "layer4.0" in page.text
    assert "Speed-up over" in capsys.readouterr().out
    report = json.loads(target.read_text())
    assert [peer["name"] for peer in report["peers"]] == ["openvino", "onnxruntime"]
    assert all(engine["peak_rss_mb"] > 10 for engine in (report["ours"], *report["peers"]))
    assert report["macs_adaptive"] > 0 and report["macs_dense"] > 0
    assert report["samples"] == 2 and report["machine"]["cores"] >= 1
    assert sum(layer["gmacs"] for layer in report["layers"]) == pytest.approx(
        report["macs_adaptive"] / 1e9
    )
    assert report["overall"]["skip"] == pytest.approx(0.712, abs=0.05)


def test_wrong_choices(capsys: Any) -> None:
    assert run_cli("bench", "--arch", "tsm_resnet18") == 1
    assert "gates" in capsys.readouterr().err
    assert run_cli("bench", "--peers", "tensorflow") == 1
    assert "Peers are" in capsys.readouterr().err
    assert run_cli("bench", "--precision", "fp16") == 2
    assert run_cli("bench", "--model", "model.onnx") == 2
    assert run_cli("bench", "--precision", "bf16", "--peers", "onnxruntime") == 1
    assert "None of the peers" in capsys.readouterr().err


def test_why_peers_are_missing() -> None:
    assert why_missing("openvino", "fp32", "avx2", []) == ""
    assert "not available at bf16" in why_missing("onnxruntime", "bf16", None, [])
    assert "cannot be limited" in why_missing("onnxruntime", "fp32", "avx2", [])
    assert "no instructions" in why_missing("openvino", "bf16", None, ["avx512f"])
    assert why_missing("openvino", "bf16", None, ["avx512_bf16"]) == ""


def test_end_to_end_times_add_up(tiny_graph: Path, tmp_path: Path) -> None:
    from adafuse_deploy.assets import SAMPLE_VIDEO

    target = tmp_path / "times.json"
    arguments = ("bench", "--model", tiny_graph, "--end-to-end", SAMPLE_VIDEO, "--rounds", 3)
    assert run_cli(*arguments, "--json", target, "--html", tmp_path / "times.html") == 0
    page = read(tmp_path / "times.html")
    assert_needs_nothing(page)
    assert_numbers_are_those_of(page, target)
    assert page.tags.count("img") == 4
    found = json.loads(target.read_text())
    parts = found["parts"]
    assert list(parts) == ["decode", "preprocess", "inference", "total"]
    assert found["rounds"] == 3 and found["frames"] == 64
    shares = [parts[name]["share"] for name in list(parts)[:3]]
    assert sum(shares) == pytest.approx(1) and all(share > 0 for share in shares)
    assert all(0 < part["p50_ms"] <= part["p99_ms"] for part in parts.values())
    with adafuse_deploy.load_engine(tiny_graph) as engine:
        answer = engine.classify(SAMPLE_VIDEO)
    assert found["best"] == answer.best.name and found["macs"] == int(answer.prediction.macs[0])


def test_each_part_is_timed_for_itself(tiny_graph: Path) -> None:
    from adafuse_deploy.assets import SAMPLE_VIDEO
    from adafuse_deploy.benchmark.end_to_end import time_video

    # One time for the start, four for the warm-up; then a round of 3, 2 and 5 seconds and its end.
    times = iter([0, 0, 0, 0, 0, 10, 13, 15, 20, 20])
    with adafuse_deploy.load_engine(tiny_graph) as engine:
        found = time_video(engine, SAMPLE_VIDEO, rounds=1, clock=lambda: next(times))
    assert {name: part["p50_ms"] for name, part in found["parts"].items()} == pytest.approx(
        {"decode": 3000, "preprocess": 2000, "inference": 5000, "total": 10000}
    )


def test_end_to_end_needs_a_model_and_a_video(tiny_graph: Path) -> None:
    assert run_cli("bench", "--end-to-end", "video.mp4") == 2
    assert run_cli("bench", "--model", tiny_graph, "--end-to-end", "none.mp4") == 1

"""The verb verify: engines that agree pass, others fail with a reason."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.data.listed_clips import ListedClips, random_clips
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.pytorch_engine import TorchEngine
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.metadata import metadata_of
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.verification.verifier import verify
from tests.nvidia import write_engine
from tests.support import run_cli

QUICK = ("--threads", "1", "--rounds", "2")


def test_pass(
    tiny_graph: Path,
    tiny_checkpoint: Path,
    tiny_model: VideoRecognizer,
    listing: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    report_file = tmp_path / "verify.json"
    code = run_cli(
        "verify", tiny_graph, "--checkpoint", tiny_checkpoint, "--data", listing, *QUICK,
        "--batch", "4", "--json", report_file,
    )  # fmt: skip
    printed = capsys.readouterr()
    output = printed.out
    assert code == 0, output
    assert "torch: policy agreement 100 %" in output
    assert "onnxruntime + operator library: policy agreement 100 %" in output
    assert "onnxruntime: policy agreement 100 %" in output
    assert "tensorrt: not run" in output
    assert "Next: adafuse-deploy classify" in printed.err

    report = json.loads(report_file.read_text())
    assert report["passed"]
    assert report["files"][str(tiny_graph)] == sha256(tiny_graph)
    clips = ListedClips(tiny_model.config, listing)
    frames = np.stack([clip for clip, _ in (clips[index] for index in range(6))])
    prediction = tiny_model.predict(frames)
    top1 = 100 * np.mean(prediction.logits.argmax(1) == [0, 1, 2, 3, 4, 0])
    for result in report["results"]:
        assert result["passed"]
        assert (result["clips"], result["flips"]) == (6, 0)
        assert result["decisions"] == sum(policy.size for policy in prediction.policies)
        assert result["top1_accuracy"] == pytest.approx(top1)
        assert result["top5_accuracy"] == 100  # of five classes
        assert result["gmacs_per_clip"] == pytest.approx(prediction.macs.mean() / 1e9)
        assert result["logits_relative_error"] < 1e-4
        assert result["latency_ms"]["rounds"] == 2


def test_other_weights_fail(
    make_model: Callable[..., VideoRecognizer],
    tiny_model: VideoRecognizer,
    tiny_graph: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    """The same architecture with other weights: only running it can tell."""
    other = VideoRecognizer(tiny_model.config)
    other.load_state_dict(
        {
            name: value * 1.05 if name.endswith("conv1.conv.weight") else value
            for name, value in tiny_model.state_dict().items()
        }
    )
    checkpoint, report = tmp_path / "other.pt", tmp_path / "verify.json"
    save_checkpoint(other, checkpoint)
    code = run_cli(
        "verify", tiny_graph, "--checkpoint", checkpoint, *QUICK, "--backend", "onnxruntime",
        "--json", report,
    )  # fmt: skip
    captured = capsys.readouterr()
    assert code == 1
    assert "FAILED" in captured.out
    assert "not run" not in captured.out  # one backend was asked for, the others are no news
    assert "Verification failed: onnxruntime + operator library:" in captured.err
    assert "decisions differ" in captured.err
    assert not json.loads(report.read_text())["passed"]  # written all the same


def test_thresholds(
    tiny_graph: Path, tiny_checkpoint: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("verify", tiny_graph, "--checkpoint", tiny_checkpoint, *QUICK)
    arguments += ("--backend", "torch", "--random", "2", "--rtol", "0")
    assert run_cli(*arguments) == 1
    assert "logits differ by up to" in capsys.readouterr().err
    assert run_cli(*arguments, "--atol", "1") == 0


def test_other_network_is_refused(
    make_model: Callable[..., VideoRecognizer], tiny_graph: Path, tmp_path: Path, capsys: Any
) -> None:
    other = make_model("tsn_resnet18", size=32, width=0.125, num_segments=4, num_classes=5)
    save_checkpoint(other, tmp_path / "other.pt")
    arguments = ("--checkpoint", tmp_path / "other.pt", "--backend", "onnxruntime", *QUICK)
    assert run_cli("verify", tiny_graph, *arguments) == 1
    assert "not the network of the checkpoint" in capsys.readouterr().err


def test_missing_backend_is_not_passed_over(
    tiny_graph: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setenv("ADAFUSE_OPERATOR_LIBRARY", "/nowhere/library.so")
    arguments = ("verify", tiny_graph, "--checkpoint", tiny_checkpoint, *QUICK, "--random", "1")
    assert run_cli(*arguments) == 0
    output = capsys.readouterr().out
    assert "openvino: not run: OpenVINO is not installed" in output
    assert "onnxruntime + operator library: not run: The operator library" in output
    assert "onnxruntime: policy agreement 100 %" in output
    for backend in ("openvino", "onnxruntime"):
        assert run_cli(*arguments, "--backend", backend) == 3


def test_options_that_exclude_each_other(
    tiny_graph: Path, tiny_checkpoint: Path, listing: Path
) -> None:
    arguments = ("verify", tiny_graph, "--checkpoint", tiny_checkpoint)
    assert run_cli(*arguments, "--data", listing, "--random", "3") == 2


def test_bad_list(tiny_graph: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "val.txt").write_text("nowhere 8 0\n")
    arguments = ("--checkpoint", tiny_checkpoint, "--data", tmp_path / "val.txt", *QUICK)
    assert run_cli("verify", tiny_graph, *arguments) == 1
    assert "nowhere" in capsys.readouterr().err


def test_evenly_spaced_clips(tiny_model: VideoRecognizer, listing: Path) -> None:
    every = ListedClips(tiny_model.config, listing)
    some = ListedClips(tiny_model.config, listing, count=3)
    assert len(some) == 3
    for index, same in enumerate((0, 2, 4)):
        np.testing.assert_array_equal(some[index][0], every[same][0])
        assert some[index][1] == every[same][1]


def test_too_few_clips(tiny_model: VideoRecognizer) -> None:
    clips = random_clips(1, (4, 3, 32, 32))
    with pytest.raises(InputError, match="fewer than a batch of 2"):
        verify(tiny_model, {"torch": TorchEngine(tiny_model)}, clips, batch=2)


class Shaky(Engine):
    """The network in another precision than the reference's."""

    name = "shaky"

    def __init__(self, graph: Path, model: VideoRecognizer) -> None:
        self._engine = load_engine(graph, operator_library=False, threads=1)
        self.metadata = metadata_of(model)

    def _infer(self, frames: np.ndarray) -> list[np.ndarray]:
        got = self._engine.run(frames + np.float32(0.01))
        return [got.logits, got.frame_logits, *got.policies]

    def _release(self) -> None:
        self._engine.close()


def test_failures_name_gate_and_margin(tiny_model: VideoRecognizer, tiny_graph: Path) -> None:
    clips = random_clips(4, (4, 3, 32, 32))
    with Shaky(tiny_graph, tiny_model) as engine:
        report = verify(tiny_model, {"shaky": engine}, clips, rounds=1)
        lenient = verify(
            tiny_model,
            {"shaky": engine},
            clips,
            rounds=1,
            thresholds={"policy_agreement": 50.0, "rtol": 1.0, "top1_agreement": 0.0},
        )
    (result,) = report.results
    assert result.comparison.flips > 0
    flip = result.comparison.clearest
    assert flip is not None
    place = f"gate {engine.metadata.gates[flip.gate]}, channel {flip.channel} of frame {flip.frame}"
    assert f"{place}, by a margin of {flip.margin:.1e}" in result.failures[0]
    assert report.failures == [f"shaky: {text}" for text in result.failures]
    assert "policy agreement 100 %" not in report.text()
    assert lenient.failures == []


@pytest.mark.usefixtures("no_gpu")
def test_engines_of_other_machines_are_listed(
    tiny_graph: Path,
    tiny_checkpoint: Path,
    tiny_metadata: GraphMetadata,
    tmp_path: Path,
    capsys: Any,
) -> None:
    """What runs here is verified all the same; a damaged engine still ends it."""
    engine, report = tmp_path / "model.engine", tmp_path / "verify.json"
    write_engine(engine, b"engine", tiny_metadata)
    arguments = ("verify", tiny_graph, engine, "--checkpoint", tiny_checkpoint, *QUICK)
    arguments += ("--random", "1", "--backend", "onnxruntime")
    assert run_cli(*arguments, "--json", report) == 0
    assert f"{engine}: not run: " in capsys.readouterr().out
    found = json.loads(report.read_text())
    assert list(found["not_run"]) == [str(engine)]
    assert [result["name"] for result in found["results"]] == [
        "onnxruntime + operator library",
        "onnxruntime",
    ]
    engine.write_bytes(b"changed")
    assert run_cli(*arguments) == 4
    assert "changed or cut short" in capsys.readouterr().err


class Broken(Shaky):
    """The network in a precision too small for some clips, or for all."""

    name = "broken"

    def __init__(self, graph: Path, model: VideoRecognizer, good: int) -> None:
        super().__init__(graph, model)
        self._good = good

    def _infer(self, frames: np.ndarray) -> list[np.ndarray]:
        logits, *others = super()._infer(frames - np.float32(0.01))
        self._good -= 1
        return [logits if self._good >= 0 else logits * np.nan, *others]


@pytest.mark.parametrize("good", [0, 2])
def test_nan_is_never_reported_as_fine(
    good: int, tiny_model: VideoRecognizer, tiny_graph: Path
) -> None:
    clips = random_clips(3, (4, 3, 32, 32))
    with Broken(tiny_graph, tiny_model, good) as engine, TorchEngine(tiny_model) as fine:
        report = verify(tiny_model, {"broken": engine, "fine": fine}, clips, rounds=1)
    assert report.failures == ["broken: logits are NaN or infinite for finite clips."]
    assert "broken: FAILED" in report.text() if not good else "FAILED" in report.text()

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} in JSON")

    broken, other = json.loads(json_text(report.to_dict()), parse_constant=refuse)["results"]
    assert not broken["passed"] and broken["latency_ms"] is None and broken["clips"] == good
    if not good:
        for key in ("policy_agreement", "top1_agreement", "logits_relative_error"):
            assert broken[key] is None
    assert other["passed"] and other["policy_agreement"] == 100

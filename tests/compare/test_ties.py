"""Ties are excused, counted and looked behind, wherever graphs and engines are checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from adafuse_deploy.core.errors import CheckFailed, NotFiniteError
from adafuse_deploy.exporters import fused_exporter, onnx_exporter
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.fuse.fuse import fuse
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.metadata import metadata_of
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION
from adafuse_deploy.verification.verifier import verify
from tests.compare.support import Tie, check_clip, move_number, with_tie
from tests.golden import load
from tests.support import run_cli

Make = Callable[..., VideoRecognizer]
Change = Callable[[onnx.ModelProto], None]
OTHERWISE = 4e-6  # settles the tie, and is itself within a tie


@dataclass(frozen=True)
class Case:
    """A network with a tie in the third of its eight gates, and its graph of one mode."""

    mode: str
    model: VideoRecognizer
    tie: Tie
    proto: onnx.ModelProto

    def change_exports(self, monkeypatch: pytest.MonkeyPatch, *changes: Change) -> None:
        """Let exports of the network be checked with these changes in the graph."""

        def changed(*arguments: Any) -> onnx.ModelProto:
            proto = onnx.ModelProto()
            proto.CopyFrom(self.proto)
            for change in changes:
                change(proto)
            return proto

        monkeypatch.setattr(onnx_exporter, "_trace", changed)


@pytest.fixture(scope="module", params=["clip", "stream"])
def case(request: pytest.FixtureRequest, make_model: Make) -> Case:
    model = make_model(
        "adafuse_tsm_online_resnet18",
        depths=(),
        size=32,
        width=0.125,
        num_segments=4,
        num_classes=5,
        gate_hidden=16,
        gate_quota=0,
        shared_policy=False,
    )
    tied, tie = with_tie(model, 2)
    metadata = metadata_of(tied, operators={DOMAIN: VERSION}, mode=request.param)
    return Case(request.param, tied, tie, onnx_exporter._trace(tied.deployed(), metadata))


def settle(tie: Tie) -> Change:
    """Let a graph settle the tie otherwise."""
    name, index = tie.bias(tie.loser)
    return lambda proto: move_number(proto, name, index, OTHERWISE * tie.rms)


def break_later_gate(tie: Tie) -> Change:
    """Let two gates behind the tie decide wrongly over a channel."""
    name = tie.name.replace("layer2.0", "layer3.0")
    assert name != tie.name
    return lambda proto: move_number(proto, f"{name}.fc1.bias", 3 * 5 + 1, 50.0)


def break_classifier(proto: onnx.ModelProto) -> None:
    """Give one class a little more."""
    move_number(proto, "consensus.fc.weight", 2, 0.05)


def change_builds(monkeypatch: pytest.MonkeyPatch, *changes: Change) -> None:
    def changed(*arguments: Any) -> Any:
        fused, *rest = fuse(*arguments)
        for change in changes:
            change(fused)
        return fused, *rest

    monkeypatch.setattr(fused_exporter, "fuse", changed)


def test_exports_with_a_tie_are_written_and_the_tie_is_told(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, model, tie = case.mode, case.model, case.tie
    case.change_exports(monkeypatch, settle(tie))
    told: list[str] = []
    export(model, tmp_path / "model.onnx", mode=mode, notify=told.append)
    assert (tmp_path / "model.onnx").exists()
    assert [sentence.split(" settled ")[0] for sentence in told] == [
        "onnxruntime",
        "onnxruntime + operator library",
    ]
    assert all(" settled 1 of " in sentence for sentence in told)


@pytest.mark.parametrize("fault", ["decision", "classifier"])
def test_a_fault_behind_a_tie_refuses_the_export(
    fault: str,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mode, model, tie = case.mode, case.model, case.tie
    later = break_later_gate(tie) if fault == "decision" else break_classifier
    case.change_exports(monkeypatch, settle(tie), later)
    message = r"gate backbone\.layer3\.0\.gate1, channel 5 of frame \d, by a margin of"
    with pytest.raises(CheckFailed, match=message if fault == "decision" else "logits differ by"):
        export(model, tmp_path / "model.onnx", mode=mode)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_decision_is_no_tie(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same decision, flipped by ten times what a tie may have."""
    mode, model, tie = case.mode, case.model, case.tie
    name, index = tie.bias(tie.winner)
    # The network decides clearly, the graph turns it over.
    clear = VideoRecognizer(model.config)
    clear.load_state_dict(model.state_dict())
    clear.get_parameter(name).data[index] += 1e-4 * tie.rms
    case.change_exports(monkeypatch, lambda proto: move_number(proto, name, index, -1e-4 * tie.rms))
    message = (
        rf"differs from PyTorch \(1 of \d+ decisions differ, the clearest in gate {tie.name}, "
        rf"channel {tie.channel} of frame {tie.frame}, by a margin of 1\.0e-04 where a tie has"
    )
    with pytest.raises(CheckFailed, match=message):
        export(clear.eval(), tmp_path / "model.onnx", mode=mode)
    assert list(tmp_path.iterdir()) == []


def test_builds_with_a_tie(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mode, model, tie = case.mode, case.model, case.tie
    portable, fused = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    case.change_exports(monkeypatch)
    export(model, portable, mode=mode)
    told: list[str] = []
    change_builds(monkeypatch, settle(tie))
    lower(portable, fused, notify=told.append)
    assert fused.exists() and len(told) == 1 and " settled 1 of " in told[0]
    fused.unlink()
    change_builds(monkeypatch, settle(tie), break_classifier)
    with pytest.raises(CheckFailed, match=r"\(logits differ by"):
        lower(portable, fused)
    change_builds(monkeypatch, settle(tie), break_later_gate(tie))
    with pytest.raises(CheckFailed, match=r"gate backbone\.layer3\.0\.gate1, channel 5 of frame"):
        lower(portable, fused)
    assert list(tmp_path.iterdir()) == [portable]


def test_verify_compares_tied_clips_too(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adafuse_deploy.engines.loader import load_engine

    mode, model, tie = case.mode, case.model, case.tie
    path = tmp_path / "model.onnx"
    case.change_exports(monkeypatch, settle(tie))
    export(model, path, mode=mode)
    clips = [(check_clip(model)[0], 1), (check_clip(model)[0] + np.float32(0.5), 1)]
    with load_engine(path, threads=1) as engine:
        report = verify(model, {"graph": engine}, clips, rounds=1)
    (result,) = report.results
    assert not result.failures
    seen = result.comparison
    assert (seen.clips, seen.tied, seen.ties) == (2, 1, 1) and seen.flips >= 1
    assert seen.excused_agreement == seen.top1_agreement == 100
    assert "but for 1 ties in 1 clips" in result.line()

    proto = onnx.load(path)
    break_classifier(proto)
    onnx.save(proto, path)
    with load_engine(path, threads=1) as engine:
        # The tied clip alone: it is judged as any other.
        report = verify(model, {"graph": engine}, clips[:1], rounds=1, thresholds={"rtol": 1e-5})
    assert report.results[0].comparison.tied == 1
    assert any("logits differ by" in text for text in report.failures)


@pytest.mark.slow
def test_a_published_network_with_a_tie(tmp_path: Path, capsys: Any) -> None:
    """Weights of which one decision on the checks' clip has a gap of 9e-8.

    Which processors settle it otherwise nobody knows; all of them must export, build and verify.
    """
    model = load("adatsn18dense-tie", tmp_path)
    checkpoint, graph = tmp_path / "tie.pt", tmp_path / "tie.onnx"
    save_checkpoint(model, checkpoint)
    assert run_cli("export", checkpoint, "-o", graph) == 0
    report = tmp_path / "verify.json"
    arguments = ("--backend", "onnxruntime", "--random", "1", "--rounds", "1", "--json", report)
    assert run_cli("verify", graph, "--checkpoint", checkpoint, *arguments) == 0
    for result in json.loads(report.read_text())["results"]:
        assert result["untied_policy_agreement"] == 100
        assert result["logits_relative_error"] < 1e-4
    capsys.readouterr()


def test_a_network_of_nan_is_blamed_itself(make_model: Make, tmp_path: Path) -> None:
    model = make_model("tsn_resnet18", size=32, width=0.125, num_segments=2, num_classes=5)
    model.consensus.fc.weight.data.fill_(3e38)
    with pytest.raises(NotFiniteError, match="logits for finite input in PyTorch"):
        export(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

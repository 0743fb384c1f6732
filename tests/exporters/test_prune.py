"""Pruned networks run in every backend, and the verb says what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adafuse_deploy.core.actions import KEEP, SKIP
from adafuse_deploy.core.errors import CheckFailed, InputError
from adafuse_deploy.data.listed_clips import ListedClips, random_clips
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters import prune as exporter
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.exporters.prune import prune_by_clips
from adafuse_deploy.graph.plugins.lower import for_plugins
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.models.checkpoint import load_model, save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.models.test_pruning import always
from tests.support import assert_same, run_cli, slow

Make = Callable[..., VideoRecognizer]
SMALL: dict[str, Any] = {
    "size": 32,
    "width": 0.25,
    "num_segments": 4,
    "num_classes": 5,
    "gate_hidden": 8,
    "gate_quota": 0,
    "shared_policy": False,
}


@pytest.fixture(scope="module")
def model(make_model: Make) -> VideoRecognizer:
    """An online network with a gate that always skips some channels, and one that always keeps."""
    made = make_model("adafuse_tsm_online_resnet18", **SMALL)
    always(made, "layer1.0.gate1", dict.fromkeys(range(5), SKIP))
    always(made, "layer1.1.gate1", dict.fromkeys(range(15), SKIP))
    always(made, "layer2.0.gate1", dict.fromkeys(range(32), KEEP) | {1: SKIP, 9: SKIP, 31: SKIP})
    return made


@pytest.fixture(scope="module")
def pruned(model: VideoRecognizer) -> VideoRecognizer:
    found = prune_by_clips(model, random_clips(4, (4, 3, 32, 32)))
    assert found.plain == ["layer2.0.gate1"]
    return found.model


@pytest.mark.parametrize("mode", ["clip", slow("stream")])
def test_every_backend_runs_it(
    mode: str, model: VideoRecognizer, pruned: VideoRecognizer, tmp_path: Path
) -> None:
    """Channel counts are what they are: odd ones, and a single one."""
    widths = pruned.config.gate_channels
    assert widths["layer1.0.gate1"] <= 11 and widths["layer1.1.gate1"] == 1
    graph, fused = tmp_path / "pruned.onnx", tmp_path / "fused.onnx"
    metadata = export(pruned, graph, mode=mode)
    assert metadata.config == pruned.config and len(metadata.gates) == 4
    lower(graph, fused)
    frames = np.random.default_rng(5).standard_normal((2, 4, 3, 32, 32), np.float32)
    expected = pruned.predict(frames)
    for path, how in (
        (graph, {}),
        (graph, {"operator_library": False}),
        (fused, {}),
        (graph, {"backend": "openvino"}),
    ):
        if how.get("backend") and mode == "stream":
            continue  # OpenVINO mixes up outputs where feature maps are 1 x 1
        with load_engine(path, threads=1, **how) as engine:  # type: ignore[arg-type]
            assert_same(engine.run(frames), expected)


@pytest.mark.parametrize("dense_gates", [False, slow(True)])
def test_bottlenecks(dense_gates: bool, make_model: Make, tmp_path: Path) -> None:
    """Their three convolutions have two widths then, and TensorRT's blocks one."""
    model = make_model(
        "adafuse_tsm_resnet50",
        **SMALL,
        dense_gates=dense_gates,
    )
    always(model, "layer2.0.gate1", dict.fromkeys(range(16), SKIP))
    always(model, "layer3.0.gate1", dict.fromkeys(range(64), KEEP) | {1: SKIP})
    less = prune_by_clips(model, random_clips(4, (4, 3, 32, 32))).model
    assert less.config.gate_channels["layer2.0.gate1"] <= 16
    graph, fused = tmp_path / "pruned.onnx", tmp_path / "fused.onnx"
    export(less, graph)
    lower(graph, fused)
    frames = np.random.default_rng(5).standard_normal((2, 4, 3, 32, 32), np.float32)
    expected = less.predict(frames)
    for path, library in ((graph, True), (graph, False), (fused, True)):
        with load_engine(path, library, threads=1) as engine:
            assert_same(engine.run(frames), expected)
    found = for_plugins(read_graph(graph)[0], 4, "fp32")
    assert found.blocks == 0
    if not dense_gates:
        assert any("unlike pruned ones" in sentence for sentence in found.left)


def test_less_must_decide_the_same(model: VideoRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the surgery is not written away."""

    def wrong(network: VideoRecognizer, plan: Any) -> VideoRecognizer:
        made = prune(network, plan)
        made.backbone.layer3[0].conv1.conv.weight.data *= 1.5
        return made

    prune = exporter.prune
    monkeypatch.setattr(exporter, "prune", wrong)
    clips = random_clips(2, (4, 3, 32, 32))
    with pytest.raises(CheckFailed, match="does not answer as before"):
        prune_by_clips(model, clips)
    with pytest.raises(InputError, match="no clips"):
        prune_by_clips(model, [])


def test_the_verb(
    model: VideoRecognizer, listing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it reports is what both networks answer; a fifth of the list is held out."""
    whole, out, report = tmp_path / "whole.pt", tmp_path / "out.safetensors", tmp_path / "out.json"
    save_checkpoint(model, whole)
    assert run_cli("prune", whole, "--data", listing, "-o", out, "--json", report) == 0
    printed = capsys.readouterr()
    assert f"Wrote {out}." in printed.out and f"Next: adafuse-deploy export {out}" in printed.err
    found = json.loads(report.read_text())
    less = load_model(out)
    clips = ListedClips(model.config, listing)
    seen = np.stack([clips[index][0] for index in (0, 1, 2, 3, 5)])
    held, label = clips[4]
    for part, frames, labels in (
        ("calibration", seen, [0, 1, 2, 3, 0]),
        ("holdout", held[None], [label]),
    ):
        before, after = model.predict(frames), less.predict(frames)
        values = found[part]
        assert values["clips"] == len(frames)
        assert values["top1_accuracy"] == 100 * np.mean(before.logits.argmax(1) == labels)
        assert values["pruned_top1_accuracy"] == 100 * np.mean(after.logits.argmax(1) == labels)
        assert values["gmacs"] == pytest.approx(before.macs.mean() / 1e9)
        assert values["pruned_gmacs"] == pytest.approx(after.macs.mean() / 1e9)
    assert found["calibration"]["policy_agreement"] == 100
    assert found["pruned_parameters"] == sum(p.numel() for p in less.parameters())
    assert found["pruned_channels"] == sum(gate["left"] for gate in found["gates"])
    assert run_cli("inspect", out) == 0
    assert "pruned" in capsys.readouterr().out

    # The whole list, other clips held out, and channels that are seldom needed go too.
    more = ("--holdout", listing, "--tolerance", "0.5", "--clips", "3")
    graph = tmp_path / "out.onnx"
    assert run_cli("prune", whole, "--data", listing, "-o", graph, *more, "--json", report) == 0
    tolerant = json.loads(report.read_text())
    assert (tolerant["calibration"]["clips"], tolerant["holdout"]["clips"]) == (3, 3)
    assert tolerant["pruned_channels"] < found["pruned_channels"]
    assert read_graph(graph)[1].config.pruned

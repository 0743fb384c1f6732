"""Failing clips are traced to a gate, saved, and run again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from adafuse_deploy.compare.bisect import Departure, bisect, most_runs
from adafuse_deploy.compare.reference import Expectation
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.engine import Forced
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.verification.failures import find_departures
from tests.support import run_cli, slow

QUICK = ("--threads", "1", "--rounds", "1", "--backend", "onnxruntime", "--random", "2")


def damage_weights(graph: Path, target: Path, name: str, factor: float) -> Path:
    """Copy a graph with the constant whose name ends with ``name`` multiplied."""
    model = onnx.load(graph)
    (tensor,) = (t for t in model.graph.initializer if t.name.endswith(name))
    values = numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)
    return target


def departure(sound: Path, faulty: Path, **how: Any) -> Departure:
    """Bisect a faulty graph against a sound one."""
    with load_engine(faulty, threads=1, **how) as engine:
        shape = engine.metadata.clip_shape
        clip = np.random.default_rng(1).standard_normal((1, *shape), np.float32)
        found = find_departures(sound, {"engine": engine}, {"engine": clip})["engine"]
    assert isinstance(found, Departure), found
    assert found.runs <= most_runs(len(engine.metadata.gates))
    return found


@pytest.mark.parametrize("how", ["library", "bodies", "fused", slow("openvino")])
@pytest.mark.parametrize(
    ("weights", "kind", "gate"),
    [
        ("layer1.0.conv1.conv.weight", "block", 0),
        ("layer2.0.conv1.conv.weight", "block", 2),
        ("layer4.0.conv1.conv.weight", "block", 4),
        ("layer3.0.gate1.fc1.bias", "policy", 3),
        ("backbone.conv1.conv.weight", "before", 0),
        ("consensus.fc.weight", "after", None),
    ],
)
def test_planted_faults_are_found(
    weights: str, kind: str, gate: int | None, how: str, tiny_graph: Path, tmp_path: Path
) -> None:
    faulty = damage_weights(tiny_graph, tmp_path / "faulty.onnx", weights, 1.25)
    options: dict[str, Any] = {"bodies": {"operator_library": False}}.get(how, {})
    if how == "openvino":
        pytest.importorskip("openvino")
        options = {"backend": "openvino"}
    if how == "fused":
        lower(faulty, tmp_path / "fused.onnx")
        faulty = tmp_path / "fused.onnx"
    found = departure(tiny_graph, faulty, **options)
    assert (found.kind, found.gate) == (kind, gate)


def test_a_sound_engine_departs_nowhere(tiny_graph: Path) -> None:
    found = departure(tiny_graph, tiny_graph)
    assert (found.kind, found.gate, found.runs) == ("none", None, 1)


def test_streams(stream_graph: Path, tmp_path: Path) -> None:
    faulty = damage_weights(
        stream_graph, tmp_path / "faulty.onnx", "layer3.0.conv1.conv.weight", 1.25
    )
    found = departure(stream_graph, faulty)
    assert (found.kind, found.name) == ("block", "backbone.layer3.0.gate1")


class Chain:
    """A network of numbers: each gate that does not skip adds its weight to what passes it."""

    def __init__(self, weights: list[float], features: Sequence[np.ndarray] = ()) -> None:
        self.weights, self.features = weights, list(features)

    def run(self, frames: np.ndarray) -> Expectation:
        return self.follow(frames, [np.zeros((1, 1, 1), np.uint8) for _ in self.weights])

    def follow(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Expectation:
        ones = [np.ones((1, 1, 1), np.float32) for _ in self.weights]
        own = [np.zeros((1, 1, 1), np.uint8) for _ in self.weights]
        return Expectation(self.predict(policies, own), ones, self.features)

    def predict(self, policies: Any, own: Any) -> Prediction:
        total = 1 + sum(w for w, p in zip(self.weights, policies, strict=True) if p.item() != 2)
        logits = np.full((1, 1), total, np.float32)
        return Prediction(logits, logits[:, None], own, np.zeros(1, np.int64))


@pytest.mark.parametrize("gates", [1, 2, 3, 16, 33])
def test_every_gate_is_found_in_as_few_runs(gates: int) -> None:
    names = [f"gate {index}" for index in range(gates)]
    for fault in range(gates):
        sound = Chain([1.0] * gates)
        wrong = Chain([1.5 if index == fault else 1.0 for index in range(gates)])
        own = [np.zeros((1, 1, 1), np.uint8)] * gates
        calls: list[int] = []

        def run(policies: Any, wrong: Chain = wrong, own: Any = own, calls: Any = calls) -> Any:
            calls.append(1)
            return Forced(wrong.predict(policies, own), [])

        found = bisect(sound, run, np.zeros((1, 1, 3, 1, 1), np.float32), names)
        assert (found.kind, found.gate, found.name) == ("block", fault, f"gate {fault}")
        assert found.runs == len(calls) <= math.ceil(math.log2(gates)) + 2


@pytest.mark.parametrize(("shown", "kind"), [(True, "policy"), (False, "before")])
def test_where_no_shortcut_leads_around_gates_their_decisions_tell(shown: bool, kind: str) -> None:
    """Of a gate that is not seen to read the same, all before it can be at fault."""
    own = [np.zeros((1, 1, 1), np.uint8) for _ in range(4)]
    otherwise = [*own[:2], np.ones((1, 1, 1), np.uint8), own[3]]
    features = [np.ones((1, 1, 1), np.float32)] * 4 if shown else []
    sound, wrong = Chain([1.0] * 4, features), Chain([1.0, 2.0, 1.0, 1.0])
    clip, names = np.zeros((1, 1, 3, 1, 1), np.float32), list("abcd")

    def run(policies: Any) -> Forced:
        return Forced(wrong.predict(policies, otherwise), features)

    found = bisect(sound, run, clip, names, shortcuts=False)
    assert (found.kind, found.name, found.runs) == (kind, "c", 1)


def test_the_command_line_bisects_saves_and_replays(
    tiny_graph: Path, tiny_metadata: GraphMetadata, tmp_path: Path, capsys: Any
) -> None:
    name = "layer2.0.conv1.conv.weight"
    faulty = damage_weights(tiny_graph, tmp_path / "faulty.onnx", name, 1.25)
    folder, found = tmp_path / "failures", tmp_path / "verify.json"
    arguments = ("verify", tiny_graph, faulty, *QUICK, "--bisect", "--json", found)
    assert run_cli(*arguments, "--save-failures", folder) == 1
    printed = capsys.readouterr().out
    engine = f"onnxruntime + operator library {faulty}"
    gate = "backbone.layer2.0.gate1"
    assert f"Bisected {engine}: the convolutions under gate {gate}" in printed
    assert f"Saved 2 of 2 failing clips in {folder}" in printed
    departures = json.loads(found.read_text())["departures"]
    assert [(key, value["name"]) for key, value in departures.items()] == [(engine, gate)]

    index = json.loads((folder / "failures.json").read_text())
    assert (index["failed_clips"], index["gates"]) == (2, tiny_metadata.gates)
    assert engine in index["engines"] and len(index["engines"]) == 3
    with load_engine(tiny_graph, False, 1) as sound, load_engine(faulty, threads=1) as wrong:
        for entry in index["clips"]:
            (failure,) = entry["failures"]
            assert failure["engine"] == engine and "differ" in failure["reasons"][0]
            flip = failure["clearest_flip"]
            with np.load(folder / entry["file"]) as saved:
                for prefix, runner in (("expected", sound), (failure["arrays"], wrong)):
                    answer = runner.run(saved["frames"][None])
                    np.testing.assert_allclose(saved[f"{prefix}.logits"], answer.logits[0], 1e-4)
                    for number, policy in enumerate(answer.policies):
                        np.testing.assert_array_equal(
                            saved[f"{prefix}.policy_{number:02d}"], policy[0]
                        )
                where = f"policy_{tiny_metadata.gates.index(flip['gate']):02d}"
                place = flip["frame"], flip["channel"]
                theirs, ours = (
                    saved[f"{prefix}.{where}"][place] for prefix in ("expected", failure["arrays"])
                )
                assert theirs != ours

    again = ("--threads", "1", "--rounds", "1", "--backend", "onnxruntime", "--replay", folder)
    assert run_cli("verify", tiny_graph, faulty, *again, "--json", found) == 1
    printed = capsys.readouterr().out
    assert f"clip 0: {engine} failed when it was saved, fails now: " in printed
    assert "clip 1: onnxruntime passed when it was saved, passes now" in printed
    outcome = json.loads(found.read_text())["replayed"]
    assert len(outcome) == 6
    assert [entry["now"] == entry["saved"] for entry in outcome] == [True] * 6
    assert run_cli("verify", tiny_graph, *again) == 0  # the fault is mended


def test_nothing_is_saved_where_nothing_fails(
    tiny_graph: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "failures"
    assert run_cli("verify", tiny_graph, *QUICK, "--save-failures", folder, "--bisect") == 0
    printed = capsys.readouterr().out
    assert "there is nothing to bisect" in printed and "was not made" in printed
    assert list(tmp_path.iterdir()) == []


def test_unusable_folders(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    arguments = ("verify", tiny_graph, "--threads", "1", "--rounds", "1")
    assert run_cli(*arguments, "--save-failures", tmp_path) == 1
    assert f"{tmp_path} (--save-failures) exists already" in capsys.readouterr().err
    assert run_cli(*arguments, "--replay", tmp_path) == 1
    assert "has no failures.json" in capsys.readouterr().err
    (tmp_path / "failures.json").write_text('{"format": "other"}')
    assert run_cli(*arguments, "--replay", tmp_path) == 1
    assert "failures.json cannot be read" in capsys.readouterr().err
    clip = {"file": "clip.npz", "clip": 0, "label": None, "failures": []}
    values = {"format": "adafuse-deploy failures", "version": 1, "engines": [], "clips": [clip]}
    (tmp_path / "failures.json").write_text(json.dumps(values))  # noqa: TID251
    for content, message in ((b"", "clip.npz cannot be read"), (None, "of the same input")):
        if content is None:
            np.savez(tmp_path / "clip.npz", frames=np.zeros((1, 3, 8, 8), np.float32))
        else:
            (tmp_path / "clip.npz").write_bytes(content)
        assert run_cli(*arguments, "--replay", tmp_path) == 1
        assert message in capsys.readouterr().err
    assert run_cli(*arguments, "--replay", tmp_path, "--random", "1") == 2
    assert run_cli(*arguments, "--replay", tmp_path, "--clips", "1") == 2

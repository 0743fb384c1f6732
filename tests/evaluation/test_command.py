"""``evaluate`` on checkpoints, graphs and what it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from adafuse_deploy.data.lists import read_list
from adafuse_deploy.engines.onnxruntime_engine import OnnxRuntimeEngine
from adafuse_deploy.evaluation.views import Views
from adafuse_deploy.models.checkpoint import load_model
from tests.support import run_cli


def _evaluate(model, listing, tmp_path, *options):
    """Run the verb and return its JSON."""
    file = tmp_path / "result.json"
    assert run_cli("evaluate", model, "--data", listing, *options, "--json", file) == 0
    return json.loads(file.read_text())


PROTOCOLS = [
    ((), Views()),
    (("--crops", 10), Views(crops=10)),
    (("--clips", 2, "--crops", 3), Views(clips=2, crops=3)),
    (("--dense-sampling",), Views(clips=10, dense_sampling=True)),
]


@pytest.mark.parametrize(("options", "views"), PROTOCOLS, ids=lambda value: None)
def test_checkpoint_and_graph_agree_with_a_loop(
    options, views, tiny_checkpoint, tiny_graph, listing, tmp_path
):
    model = load_model(tiny_checkpoint)
    matrix = np.zeros((5, 5), int)
    for record in read_list(listing):
        logits = [
            model.predict(view[None]).logits[0] for view in views.cut(record.open(), model.config)
        ]
        matrix[record.label, np.mean(logits, 0).argmax()] += 1
    for file in (tiny_checkpoint, tiny_graph):
        values = _evaluate(file, listing, tmp_path, *options, "--batch-size", 4, "--workers", 1)
        assert values["confusion"] == matrix.tolist()
        assert values["top1"] == pytest.approx(100 * matrix.trace() / 6)
        assert values["clips"] == 6 and values["views"] == views.to_dict()


def test_a_fused_graph(tiny_graph, listing, tmp_path):
    fused = tmp_path / "tiny.cpu.onnx"
    build = ("build-engine", tiny_graph, "-o", fused, "--backend", "onnxruntime")
    assert run_cli(*build) == 0
    portable, built = (_evaluate(file, listing, tmp_path) for file in (tiny_graph, fused))
    assert built["confusion"] == portable["confusion"] and built["gates"] == portable["gates"]
    assert built["gmacs"] == portable["gmacs"]


def test_an_engine_is_given_no_more_than_it_takes(tiny_graph, listing, monkeypatch, capsys):
    """An engine for GPUs has a largest batch; here ONNX Runtime stands for one."""
    batches = []

    class Small(OnnxRuntimeEngine):
        max_batch = 4

        def run(self, frames):
            batches.append(len(frames))
            return super().run(frames)

    monkeypatch.setattr("adafuse_deploy.engines.onnxruntime_engine.OnnxRuntimeEngine", Small)
    options = ("--clips", 3, "--batch-size", 16)
    assert run_cli("evaluate", tiny_graph, "--data", listing, *options) == 0
    assert batches == [4, 4, 4, 4, 2]
    assert "view, 3 of which make an answer" in capsys.readouterr().out


def test_crops_at_full_resolution(tiny_checkpoint, tiny_graph, listing, tmp_path, capsys):
    views = Views(crops=3, full_resolution=True)
    model = load_model(tiny_checkpoint)
    clips = np.concatenate(
        [views.cut(record.open(), model.config) for record in read_list(listing)]
    )
    assert clips.shape[-1] == model.config.preprocessing.resize > model.config.preprocessing.crop
    options = ("--crops", 3, "--full-resolution")
    values = _evaluate(tiny_checkpoint, listing, tmp_path, *options)
    assert values["gmacs"] == pytest.approx(model.predict(clips).macs.mean() / 1e9)
    assert run_cli("evaluate", tiny_graph, "--data", listing, *options) == 1
    assert "takes frames of one size" in capsys.readouterr().err


def test_tables_come_before_the_text(tiny_graph, listing, tmp_path, capsys):
    table = tmp_path / "classes.csv"
    values = _evaluate(tiny_graph, listing, tmp_path, "--csv", table)
    printed = capsys.readouterr().out
    assert "Classes, worst first" in printed and "By class" in printed
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["left", "right", "up", "down", "still"]
    for row, entry in zip(rows, values["classes"], strict=True):
        assert int(row["clips"]) == entry["clips"] == sum(values["confusion"][entry["label"]])
        assert float(row["accuracy"]) == pytest.approx(entry["accuracy"])
        assert int(row[row["class"]]) == entry["correct"]
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    named = _evaluate(tiny_graph, listing, tmp_path, "--classes", tmp_path / "names.txt")
    assert [entry["name"] for entry in named["classes"]] == list("abcde")


def test_many_classes_are_shown_by_their_worst_and_best():
    from adafuse_deploy.commands.evaluate import _class_lines
    from adafuse_deploy.evaluation.result import Confusion

    matrix = np.diag(np.arange(13))
    matrix[:, 0] += 12 - np.arange(13)  # class 0 is always right; of class n, n in 12 are
    lines = list(_class_lines(Confusion(matrix)))
    assert lines[0] == "Worst classes" and lines[1] == "    8.33 %  class 1 (1 of 12)"
    assert lines[6] == "Best classes" and lines[7] == "  100.00 %  class 12 (12 of 12)"
    assert len(lines) == 12
    assert list(_class_lines(Confusion(np.diag([4, 2])))) == [
        "Classes    all 2 of them at 100.00 %"
    ]


@pytest.mark.parametrize("source", [("--data",), ("--synthetic", 3)], ids=["list", "drawn"])
def test_a_graph_needs_no_pytorch(source, tiny_graph, listing):
    arguments = [*map(str, source), *([str(listing)] if source == ("--data",) else [])]
    script = (
        "import sys\n"
        "from adafuse_deploy.cli import main\n"
        f"code = 0\ntry:\n    main({['evaluate', str(tiny_graph), *arguments]})\n"
        "except SystemExit as end:\n    code = end.code\n"
        "print('PyTorch', 'torch' in sys.modules, code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "PyTorch False 0", done.stderr
    assert "Top-1" in done.stdout


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("graph", ["--sampled"], "--sampled is for checkpoints"),
        ("graph", ["--official", "--size", "64"], "--official --size 64 is for checkpoints"),
        ("checkpoint", ["--threads", "2"], "--threads 2 is for graphs"),
        ("checkpoint", ["--backend", "openvino"], "--backend openvino is for graphs"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    kind, options, message, tiny_graph, tiny_checkpoint, listing, capsys
):
    file = tiny_graph if kind == "graph" else tiny_checkpoint
    assert run_cli("evaluate", file, "--data", listing, *options) == 1
    assert message in capsys.readouterr().err


def test_options_of_lists_are_refused_without_one(tiny_graph, capsys):
    assert run_cli("evaluate", tiny_graph, "--synthetic", 2, "--first-label", 1) == 2
    assert "--first-label belongs to --data" in capsys.readouterr().err

"""The runtime in an environment that has nothing else (`make runtime`): what the package ships."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adafuse_deploy
from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.listed_clips import random_clips
from adafuse_deploy.data.synthetic import CLASS_NAMES
from tests.support import run_cli

STREAMED = ("stream", SHIPPED_STREAM_GRAPH, SAMPLE_VIDEO, "--stride", "8")


def _process(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "adafuse_deploy", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def _loaded(program: str) -> set[str]:
    """Return the packages outside the standard library that a program loads."""
    program += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    return {name for name in names - set(sys.stdlib_module_names) if not name.startswith("_")}


def test_the_first_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``doctor`` advises runs, and what that advises, in processes as a user starts them."""
    monkeypatch.chdir(tmp_path)
    words: list[str] = ["doctor"]
    for verb in ("doctor", "classify", "inspect"):
        assert words[0] == verb
        done = _process(*words)
        assert done.returncode == 0, done.stderr
        if verb == "classify":
            assert done.stdout.split("%")[1].split()[:2] == ["moving", "left"]
        (line,) = re.findall(r"^Next: adafuse-deploy (.*)$", done.stderr, re.MULTILINE)
        words = shlex.split(line)
    assert words[0] == "classify"


def test_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Videos to fused and quantised graphs, their accuracy, and that they are one network."""
    videos, fused, int8 = tmp_path / "v", tmp_path / "m.cpu.onnx", tmp_path / "m.int8.onnx"
    report = tmp_path / "report.json"
    assert run_cli("synthesize", videos, "--count", 12, "--seed", 7) == 0
    listing = videos / "list.txt"
    assert run_cli("build-engine", SHIPPED_GRAPH, "-o", fused, "--backend", "onnxruntime") == 0
    assert run_cli("quantize", SHIPPED_GRAPH, "--data", listing, "-o", int8) == 0
    assert run_cli("evaluate", fused, "--data", listing, "--json", report) == 0
    assert json.loads(report.read_text())["top1"] > 90
    assert run_cli("classify", "--data", listing, "--model", fused) == 0
    arguments = ("--data", listing, "--rounds", 1, "--min-top1-agreement", 90, "--json", report)
    capsys.readouterr()
    assert run_cli("verify", SHIPPED_GRAPH, fused, *arguments) == 0
    assert f"Compared with {SHIPPED_GRAPH} on its function bodies" in capsys.readouterr().out
    found = json.loads(report.read_text())
    (built,) = [result for result in found["results"] if result["name"].endswith(str(fused))]
    assert built["clips"] == 12 and built["untied_policy_agreement"] == 100
    assert found["not_run"]["torch"] == "no --checkpoint was given."
    assert run_cli("verify", fused, *arguments) == 4
    assert SHIPPED_GRAPH.name in capsys.readouterr().err  # which to give instead
    with pytest.raises(InputError, match=f"give {SHIPPED_GRAPH.name}"):
        adafuse_deploy.verify(
            fused, {"fused": adafuse_deploy.load_engine(fused)}, random_clips(1, (8, 3, 64, 64))
        )


def test_another_graph_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight that changed is found by the graph it was made from."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(SHIPPED_GRAPH)
    tensor = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
    changed = numpy_helper.to_array(tensor) * 1.2
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, tmp_path / "other.onnx")
    arguments = ("--random", 2, "--rounds", 1, "--backend", "onnxruntime")
    assert run_cli("verify", SHIPPED_GRAPH, tmp_path / "other.onnx", *arguments) == 1
    error = capsys.readouterr().err
    assert "other.onnx" in error and "instead of 100 %" in error
    assert run_cli("verify", SHIPPED_GRAPH, "--backend", "torch") == 1
    assert "give --checkpoint" in capsys.readouterr().err
    assert run_cli("verify", SHIPPED_GRAPH, "--size", "32") == 2


def test_streams(tmp_path: Path) -> None:
    fused, answers = tmp_path / "s.cpu.onnx", tmp_path / "answers.jsonl"
    build = ("build-engine", SHIPPED_STREAM_GRAPH, "-o", fused, "--backend", "onnxruntime")
    assert run_cli(*build) == 0
    for graph in (SHIPPED_STREAM_GRAPH, fused):
        assert run_cli("stream", graph, *STREAMED[2:], "--json", answers) == 0
        last = json.loads(answers.read_text().splitlines()[-1])
        assert last["top"][0]["label"] == "moving left"
    assert run_cli("verify", SHIPPED_STREAM_GRAPH, fused, "--random", 1, "--rounds", 1) == 0


def test_from_python() -> None:
    with adafuse_deploy.load_engine(SHIPPED_GRAPH) as engine:
        assert engine.classify(SAMPLE_VIDEO).best.name == "moving left"
        clip = adafuse_deploy.open_clip(SAMPLE_VIDEO, 8, engine.metadata.config.preprocessing)
        report = adafuse_deploy.verify(
            SHIPPED_GRAPH,
            {engine.name: engine},
            [(clip, CLASS_NAMES.index("moving left"))],
            rounds=1,
        )
    assert not report.failures and report.reference.top1_accuracy == 100


def test_what_start_up_loads() -> None:
    """Everything else loads when it is used: start-up is quick as long as this holds."""
    assert _loaded("import adafuse_deploy") == {"adafuse_deploy"}
    shown = "from click.testing import CliRunner; import adafuse_deploy.cli as a"
    shown += "; assert 'Verbs' in CliRunner().invoke(a.adafuse_deploy, ['--help']).output"
    assert _loaded(shown) == {"adafuse_deploy", "click"}
    classified = f"from adafuse_deploy.cli import main; main(['classify', {str(SAMPLE_VIDEO)!r}, "
    classified += f"'--model', {str(SHIPPED_GRAPH)!r}])"
    assert _loaded(classified).isdisjoint({"onnx", "onnx_ir", "torch", "tqdm"})


def test_a_checkpoint_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of safetensors the header is enough; weights of a network are run as a graph."""
    from safetensors.numpy import save_file

    from adafuse_deploy.core.json_text import json_text
    from adafuse_deploy.core.metadata import KEY
    from adafuse_deploy.graph.read import read_metadata

    network = read_metadata(SHIPPED_GRAPH)
    record = {"network": network.to_dict(), "weights_sha256": "", "epoch": 7}
    weights = {"conv.weight": np.ones((2, 3), np.float32), "bn.running_mean": np.ones(2)}
    save_file(weights, tmp_path / "ckpt.safetensors", {KEY: json_text(record)})
    assert run_cli("inspect", tmp_path / "ckpt.safetensors") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "parameters: 6 " in shown and "trained: epoch 7 " in shown and "moving left" in shown

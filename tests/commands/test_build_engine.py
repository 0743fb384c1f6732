"""The verbs build-engine, inspect and doctor as a user meets them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adafuse_deploy.commands import build_engine
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.nvidia import FakeTensorRT, write_engine
from tests.support import run_cli

VERBS = ("build-engine", "inspect", "doctor", "verify")


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str, capsys: Any) -> None:
    assert run_cli(verb, "--help") == 0
    assert f"Example: adafuse-deploy {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_help_loads_no_runtime(verb: str) -> None:
    import subprocess

    heavy = "'torch', 'onnx', 'onnxruntime', 'openvino', 'tensorrt_rtx', 'av'"
    program = (
        "import sys\nfrom adafuse_deploy.cli import main\n"
        f"try: main(['{verb}', '--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(str([name for name in ({heavy}) if name in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"


@pytest.mark.usefixtures("no_tensorrt")
def test_build_without_tensorrt(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "model.engine"
    arguments = ("--backend", "tensorrt", "--fp16")
    assert run_cli("build-engine", tiny_graph, "-o", target, *arguments) == 3
    message = capsys.readouterr().err
    assert "pip install 'adafuse-deploy[tensorrt]'" in message
    assert "tensorrt-rtx" in message
    assert "onnxruntime" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--backend", "openvino"), 2, "'openvino' is not one of"),
        (("--fp16", "--precision", "fp32"), 2, "--fp16 contradicts fp32"),
        (("--fp16", "--bf16"), 2, "--bf16 contradicts fp16"),
        (("--int8", "--root", "videos"), 2, "--root belongs to --data"),
        (("--backend", "onnxruntime", "--fp16"), 2, "not in fp16"),
        (("--backend", "onnxruntime", "--int8", "--data", "x"), 2, "'adafuse-deploy quantize'"),
        (("--backend", "tensorrt", "--int8", "--data", "missing.txt"), 1, "missing.txt"),
        (("--hardware-compatibility", "all"), 2, "ampere-plus"),
        (("--precision", "int4"), 2, "int4"),
        (("--backend", "tensorrt", "--max-batch", "0"), 1, "--max-batch"),
        (("--backend", "onnxruntime", "--max-batch", "2"), 2, "--max-batch is for GPUs"),
        (("--backend", "tensorrt", "-o", "model.onnx"), 1, "(-o/--output) must end in .engine"),
    ],
)
def test_build_with_unusable_options(
    tiny_graph: Path, arguments: tuple[str, ...], code: int, message: str, capsys: Any
) -> None:
    assert run_cli("build-engine", tiny_graph, *arguments) == code
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("no_gpu", "tensorrt")
def test_build_without_gpu(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "model.engine"
    assert run_cli("build-engine", tiny_graph, "-o", target, "--backend", "tensorrt") == 3
    assert "no NVIDIA GPU" in capsys.readouterr().err


@pytest.mark.usefixtures("gpu", "tensorrt")
def test_build_from_bad_graph(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"no graph")
    for name in ("cut.onnx", "missing.onnx"):
        assert run_cli("build-engine", tmp_path / name) == 1
        assert name in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cut.onnx"]


@pytest.mark.usefixtures("gpu", "tensorrt")
def test_build_into_missing_folder(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    assert run_cli("build-engine", tiny_graph, "-o", tmp_path / "no" / "model.engine") == 1
    assert "Cannot write" in capsys.readouterr().err


def test_inspect_graph(tiny_graph: Path, tiny_checkpoint: Path, capsys: Any) -> None:
    assert run_cli("inspect", tiny_graph) == 0
    text = capsys.readouterr().out
    assert "resnet18 of 2+1+1+1 blocks, width 0.125, temporal shift (TSM)" in text
    assert "left, right, up, down, still" in text
    assert "ai.adafuse 1" in text
    assert run_cli("inspect", tiny_graph, "--json", "-") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["sha256"] == sha256(tiny_graph)
    assert values["checkpoint_sha256"] == sha256(tiny_checkpoint)
    assert values["convolutions"]["GatedConv"] >= 5
    gmacs = values["gmacs_per_clip"]
    assert gmacs["all_skipped"] < gmacs["dense"] < gmacs["all_kept"]
    assert values["metadata"]["config"]["backbone"] == "resnet18"


def test_inspect_checkpoint(tiny_checkpoint: Path, capsys: Any) -> None:
    assert run_cli("inspect", tiny_checkpoint, "--json", "-") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["kind"] == "checkpoint"
    assert values["sha256"] == sha256(tiny_checkpoint)
    assert len(values["metadata"]["gates"]) == 5


def test_inspect_gates_that_cannot_skip(
    make_model: Callable[..., VideoRecognizer], tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(make_model("adafuse_tsm_resnet18", gate_actions=("keep", "reuse")), path)
    assert run_cli("inspect", path, "--json", "-") == 0
    captured = capsys.readouterr()
    assert "(all reused)" in captured.err and "skipped" not in captured.err
    gmacs = json.loads(captured.out)["gmacs_per_clip"]
    assert gmacs["all_reused"] < gmacs["dense"] < gmacs["all_kept"]


def test_inspect_what_is_none_of_them(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "video.mp4").write_bytes(b"ftyp")
    assert run_cli("inspect", tmp_path / "video.mp4") == 1
    assert "none of the files that can be inspected" in capsys.readouterr().err


def test_inspect_engine(tmp_path: Path, tiny_metadata: GraphMetadata, capsys: Any) -> None:
    path = tmp_path / "model.engine"
    sidecar = write_engine(path, b"engine", tiny_metadata)
    assert run_cli("inspect", path, "--json", "-") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["backend_version"] == sidecar.backend_version
    assert values["compute_capabilities"] == ["8.6"]
    path.write_bytes(b"engin")
    assert run_cli("inspect", path) == 4
    assert "cut short" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x.onnx", "x.pt", "x.engine", "x.mp4"])
def test_inspect_bad_file(tmp_path: Path, name: str, capsys: Any) -> None:
    assert run_cli("inspect", tmp_path / name) == 1
    assert name in capsys.readouterr().err
    (tmp_path / name).write_bytes(b"nothing that anybody wrote")
    assert run_cli("inspect", tmp_path / name) == (4 if name == "x.engine" else 1)
    assert name in capsys.readouterr().err


@pytest.mark.usefixtures("no_gpu", "no_tensorrt")
def test_doctor(capsys: Any) -> None:
    assert run_cli("doctor", "--json", "-") == 0
    found = {entry["item"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["PyTorch"]["found"]
    assert "CPUExecutionProvider" in found["ONNX Runtime"]["detail"]
    assert not found["TensorRT"]["found"]
    assert "pip install 'adafuse-deploy[tensorrt]'" in found["TensorRT"]["use"]
    assert not found["NVIDIA GPU"]["found"]


def test_doctor_without_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for module in ("torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "av"):
        monkeypatch.setitem(sys.modules, module, None)
    assert run_cli("doctor") == 0
    lines = capsys.readouterr().out.splitlines()
    missing = [line for line in lines if line.startswith("no ")]
    assert len(missing) >= 7


def test_doctor_with_a_gpu(gpu: object, capsys: Any) -> None:
    assert run_cli("doctor") == 0
    assert "yes  NVIDIA GPU: Test GPU, compute capability 8.6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gpu_here", "installed", "output", "backend"),
    [
        (False, (), None, "onnxruntime"),
        (False, ("tensorrt", "tensorrt_rtx"), None, "onnxruntime"),
        (True, (), None, "onnxruntime"),
        (True, ("tensorrt", "tensorrt_rtx"), None, "tensorrt"),
        (True, ("tensorrt_rtx",), None, "tensorrt-rtx"),
        (True, ("tensorrt",), "m.onnx", "onnxruntime"),
        (True, ("tensorrt",), "m.plan", "tensorrt"),
        (False, ("tensorrt", "tensorrt_rtx"), "m.engine", "tensorrt-rtx"),
        (False, (), "m.engine", "tensorrt"),  # whose error says how to get one
    ],
)
def test_automatic_backend(
    gpu_here: bool,
    installed: tuple[str, ...],
    output: str | None,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build_engine, "gpu_present", lambda: gpu_here)
    for module in ("tensorrt", "tensorrt_rtx"):
        stand_in = FakeTensorRT(module) if module in installed else None
        monkeypatch.setitem(sys.modules, module, stand_in)
    assert build_engine._choose(Path(output) if output else None, ()) == backend
    assert build_engine._choose(None, ("8.6",)) == "tensorrt-rtx"

"""``inspect``: the same table and the same JSON for every kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adafuse_deploy.assets import SHIPPED_GRAPH, SHIPPED_STREAM, SHIPPED_STREAM_GRAPH
from adafuse_deploy.core.files import sha256
from adafuse_deploy.engines.sidecar import OperatorLibrary
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.graph.read import read_metadata
from adafuse_deploy.models.checkpoint import load_model, save_checkpoint
from tests.golden import write_official
from tests.nvidia import write_engine
from tests.support import run_cli


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every kind."""
    folder = tmp_path_factory.mktemp("kinds")
    safetensors, engine = folder / "ckpt.safetensors", folder / "model.engine"
    save_checkpoint(load_model(SHIPPED_STREAM), safetensors)
    lower(SHIPPED_GRAPH, folder / "fused.onnx", precision="bf16")
    lower(SHIPPED_STREAM_GRAPH, folder / "fused.stream.onnx")
    write_engine(
        engine, b"engine", read_metadata(SHIPPED_GRAPH),
        operators=OperatorLibrary("ai.adafuse", 1, "0" * 64),
    )  # fmt: skip
    return {
        "checkpoint": SHIPPED_STREAM,
        "safetensors": safetensors,
        "official": write_official("adatsn18", folder, tiny=True),
        "portable": SHIPPED_GRAPH,
        "stream": SHIPPED_STREAM_GRAPH,
        "fused": folder / "fused.onnx",
        "fused stream": folder / "fused.stream.onnx",
        "engine": engine,
    }


@pytest.fixture(scope="module")
def told(
    files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The JSON of each."""
    target = tmp_path_factory.mktemp("json") / "told.json"
    found = {}
    for kind, file in files.items():
        words = ("--size", 32, "--num-segments", 4) if kind == "official" else ()
        assert run_cli("inspect", file, *words, "--json", target) == 0
        found[kind] = json.loads(target.read_text())
    return found


def test_all_kinds_have_the_same_keys(told: dict[str, dict[str, Any]]) -> None:
    first, *others = told.values()
    assert all(list(values) == list(first) for values in others)
    kinds = {name: values["kind"] for name, values in told.items()}
    assert "of the public AdaFuse code" in kinds.pop("official")
    assert kinds == {
        "checkpoint": "checkpoint",
        "safetensors": "checkpoint",
        "portable": "portable graph (ONNX)",
        "stream": "portable stream graph (ONNX)",
        "fused": "fused graph (ONNX)",
        "fused stream": "fused stream graph (ONNX)",
        "engine": "engine",
    }


def test_what_each_kind_says(files: dict[str, Path], told: dict[str, dict[str, Any]]) -> None:
    for kind, values in told.items():
        assert values["sha256"] == sha256(files[kind])
        assert values["bytes"] == files[kind].stat().st_size
        assert values["gates"]["count"] == 8 == len(values["gates"]["channels"])
        assert values["preprocessing"]["crop"] in (32, 64)
        stream, graph = "stream" in kind, kind not in ("checkpoint", "safetensors", "official")
        assert (values["state"] is not None) == stream
        assert (values["mode"], values["written_by"] is None) == (
            ("stream" if stream else "clip") if graph else None,
            not graph,
        )
        assert (values["parameters"] is None) == graph
        assert (values["evaluation"] is not None) == (kind == "checkpoint")
        library = values["operator_library"]
        assert (library is not None) == graph
        if graph and kind != "engine":
            assert library["here"] and library["required"] == ("fused" in kind)
    assert told["checkpoint"]["training"]["epochs"] == 8 and told["checkpoint"]["seed"] == 0
    assert told["fused"]["built_from"]["sha256"] == sha256(SHIPPED_GRAPH)
    assert told["fused"]["precision"] == "bf16"
    assert told["portable"]["operator_nodes"] == {"GatedConv": 8, "SkipConv": 8}
    assert told["engine"]["compute_capabilities"] == ["8.6"]


def test_libraries_that_are_missing(
    files: dict[str, Path], told: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    library = told["engine"]["operator_library"]
    assert library["required"] and not library["here"] and "plugin library" in library["reason"]
    monkeypatch.setenv("ADAFUSE_OPERATOR_LIBRARY", "/nowhere/library.so")
    assert run_cli("inspect", files["fused"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "operator library: required; not here: The operator library /nowhere" in shown


def test_all_kinds_have_the_same_rows(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = set()
    for kind in ("checkpoint", "portable", "fused stream", "engine"):
        assert run_cli("inspect", files[kind], "--quiet") == 0
        first, *lines = capsys.readouterr().out.splitlines()
        assert first == str(files[kind])
        rows.add(tuple(line.partition(":")[0].strip() for line in lines))
        assert all(line.partition(":")[2].strip() and "{" not in line for line in lines)
        assert len({len(line) - len(line.partition(":")[2].lstrip()) for line in lines}) == 1
    assert len(rows) == 1

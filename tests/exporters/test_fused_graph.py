"""Fused graphs for CPUs: what is fused, that nothing changes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import adafuse_deploy
from adafuse_deploy.core.errors import CheckFailed, IncompatibleArtifactError, InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.exporters import fused_exporter, onnx_exporter
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.quantize import quantize
from adafuse_deploy.graph.fuse.fuse import fuse
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import create_model
from adafuse_deploy.ops.operator_schemas import DOMAIN
from tests.golden import EXPORTED, FOLDER, FULL, compare_with_official, golden_clip, load
from tests.support import (
    SHALLOW,
    assert_same,
    assert_shapes_of_maps_are_known,
    kinds_of,
    maps_of_fused,
    run_cli,
    slow,
)

Make = Callable[..., VideoRecognizer]
PORTABLE = {"GatedConv", "SkipConv"}
SMALL: dict[str, Any] = {"width": 0.25, "num_segments": 3, "num_classes": 6}


@pytest.fixture(scope="module")
def fused_graph(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused") / "tiny.cpu.onnx"
    lower(tiny_graph, path)
    return path


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("adafuse_tsm_resnet18", {"size": 72}),
        ("adafuse_tsm_online_resnet18", {"consensus": "lstm", "lstm_hidden": 16}),
        ("adafuse_tsn_resnet18", {"num_segments": 1}),
        slow("adafuse_tsm_last_resnet18", {}),  # gates in the last stage only
        slow("tsm_resnet18", {}),  # no gates at all, and shortcuts that are not shifted
        slow("adafuse_tsm_resnet18", {"shift_place": "conv1", "shift_every": 2}),
        ("adafuse_tsm_resnet50", {"size": 80}),
    ],
)
def test_fused_networks_equal_pytorch(
    name: str, overrides: dict[str, Any], make_model: Make, tmp_path: Path
) -> None:
    model = make_model(name, **{**SMALL, "size": 64, **overrides})
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    onnx_exporter.export(model, portable)
    metadata, blocks = lower(portable, path)
    assert blocks == sum(SHALLOW)
    maps_of_fused(onnx.load(path))
    kinds = kinds_of(onnx.load(path))
    assert "Stem" in kinds and not kinds & {*PORTABLE, "Conv", "MaxPool", "ChannelsLast"}
    shape = (2, *metadata.input_shape)
    clips = np.random.default_rng(0).standard_normal(shape, np.float32)
    with adafuse_deploy.load_engine(path, threads=2) as engine:
        assert_same(engine.run(clips), model.predict(clips))
        assert_same(engine.run(clips[:1]), model.predict(clips[:1]))


@pytest.mark.parametrize(("precision", "limit"), [("bf16", 0.05), ("int8", 0.1)])
def test_dense_tsm_in_lower_precision(
    precision: str, limit: float, make_model: Make, tmp_path: Path
) -> None:
    """With its shortcuts shifted it would be off by a third of the logits' RMS."""
    model = make_model("tsm_resnet18", **SMALL, size=64)
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    clips = np.random.default_rng(0).standard_normal((2, 3, 3, 64, 64), np.float32)
    onnx_exporter.export(model, portable)
    if precision == "int8":
        quantize(portable, tmp_path / "int8.onnx", list(clips))
        portable = tmp_path / "int8.onnx"
    assert lower(portable, path, precision=precision)[1] == sum(SHALLOW)
    names = [{a.name for a in node.attribute} for node in onnx.load(path).graph.node]
    assert any("conv1_shift_next" in name for name in names)  # which 0.1.0's library refuses
    expected = model.predict(clips).logits
    with adafuse_deploy.load_engine(path) as engine:
        error = np.abs(engine.run(clips).logits - expected).max()
    assert error <= limit * np.sqrt(np.mean(expected**2))


@pytest.mark.slow
def test_what_is_fused_in_part_stays_in_float32(make_model: Make, tmp_path: Path) -> None:
    """Blocks with two gates stay on portable operators, which cannot read bfloat16."""
    model = make_model("adafuse_tsm_last_resnet18", **SMALL, size=32, dense_gates=True)
    onnx_exporter.export(model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="cannot be built in bf16; build it in fp32"):
        lower(tmp_path / "model.onnx", tmp_path / "model.cpu.onnx", precision="bf16")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_biases_that_exporters_leave_out(tmp_path: Path) -> None:
    """Those of a fresh network are zeros."""
    torch.manual_seed(0)
    model = create_model("adafuse_tsm_resnet18", **SMALL, size=32, depths=SHALLOW).eval()
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    metadata = onnx_exporter.export(model, portable)
    convs = [node for node in onnx.load(portable).graph.node if node.op_type == "Conv"]
    assert any(len(conv.input) == 2 for conv in convs)
    assert lower(portable, path)[1] == sum(SHALLOW)
    clips = np.random.default_rng(0).standard_normal((2, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(path) as engine:
        assert_same(engine.run(clips), model.predict(clips))


def test_blocks_with_a_second_gate_stay(make_model: Make, tmp_path: Path) -> None:
    """Only the stages without gates are fused; the frames come back to the portable layout."""
    model = make_model(
        "adafuse_tsm_resnet18", **SMALL, size=64, dense_gates=True, gated_stages=(3,)
    )
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    metadata = onnx_exporter.export(model, portable)
    _, blocks = lower(portable, path)
    assert blocks == 4
    assert {"GatedConv", "ConditionalBasicBlock", "ChannelsLast"} <= kinds_of(onnx.load(path))
    clips = np.random.default_rng(0).standard_normal((2, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(path) as engine:
        assert_same(engine.run(clips), model.predict(clips))


@pytest.mark.parametrize("name", EXPORTED)
def test_official_checkpoints_keep_their_policies(name: str, tmp_path: Path) -> None:
    model = load(name, tmp_path)
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    onnx_exporter.export(model, portable)
    lower(portable, path)
    golden = np.load(FOLDER / f"{name}.npz")
    clips = golden_clip(FULL[name])
    with adafuse_deploy.load_engine(path) as engine:
        prediction = engine.run(clips)
    for gate, policy in enumerate(prediction.policies):
        reference = [golden[f"policy_{gate:02d}"], golden[f"policy_clip1_{gate:02d}"]]
        np.testing.assert_array_equal(2 - policy, np.stack(reference))
    error = np.abs(prediction.logits - golden["logits"]).max()
    assert error <= 1e-4 * np.sqrt(np.mean(golden["logits"] ** 2))


@pytest.mark.slow
def test_official_inception_keeps_its_policies(tmp_path: Path) -> None:
    model = load("adabninc", tmp_path)
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    onnx_exporter.export(model, portable)
    lower(portable, path)
    with adafuse_deploy.load_engine(path) as engine:
        comparison = compare_with_official("adabninc", model, engine.run(golden_clip(224)))
    assert comparison.unexcused == 0


def test_large_clips_take_turns(
    fused_graph: Path, tiny_clips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = np.concatenate([tiny_clips] * 2)
    with adafuse_deploy.load_engine(fused_graph) as engine:
        together = engine.run(clips)
    for size in (1, 3 * tiny_clips[0].nbytes):  # one at a time, and three
        monkeypatch.setattr("adafuse_deploy.engines.onnxruntime_engine._CACHED_BYTES", size)
        with adafuse_deploy.load_engine(fused_graph) as engine:
            assert_same(engine.run(clips), together)


def test_threads_do_not_change_a_bit(fused_graph: Path, tiny_clips: np.ndarray) -> None:
    results = []
    for threads in (1, 2, 3):
        with adafuse_deploy.load_engine(fused_graph, threads=threads) as engine:
            results.append(engine.run(tiny_clips))
    for result in results[1:]:
        np.testing.assert_array_equal(result.logits, results[0].logits)


def test_metadata_names_the_portable_graph(tiny_graph: Path, fused_graph: Path) -> None:
    portable, fused = read_graph(tiny_graph)[1], read_graph(fused_graph)[1]
    assert fused.portable_name == tiny_graph.name
    assert len(fused.portable_sha256) == 64
    assert fused.config == portable.config and fused.layers == portable.layers
    # Portable graphs stay readable by versions that do not know fused ones.
    assert not {"portable_name", "portable_sha256"} & set(portable.to_dict())
    assert GraphMetadata.from_dict(fused.to_dict(), "fused") == fused


def test_fused_graphs_need_the_operator_library(fused_graph: Path) -> None:
    with pytest.raises(IncompatibleArtifactError, match=r"portable graph .* tiny\.onnx"):
        adafuse_deploy.load_engine(fused_graph, operator_library=False)
    with pytest.raises(InputError, match="give the portable graph"):
        adafuse_deploy.load_engine(fused_graph, backend="openvino")


def test_what_cannot_be_built(tiny_graph: Path, fused_graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.cpu.onnx"
    with pytest.raises(InputError, match=r"already built .* from tiny\.onnx"):
        lower(fused_graph, target)
    with pytest.raises(InputError, match="portable graph itself"):
        lower(tiny_graph, tiny_graph)
    with pytest.raises(InputError, match=r"\*\.onnx"):
        lower(tiny_graph, tmp_path / "model.engine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_runtime_knows_the_shapes_of_frames(
    precision: str, tiny_graph: Path, tmp_path: Path
) -> None:
    """Or it would not let a block write over its input.  It ignores errors of shape inference."""
    path = tmp_path / "tiny.cpu.onnx"
    lower(tiny_graph, path, precision=precision)
    assert_shapes_of_maps_are_known(path)


def test_bfloat16_graphs(tiny_graph: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.bf16.onnx"
    metadata, _ = lower(tiny_graph, path, precision="bf16")
    assert metadata.precision == "bf16"
    graph = onnx.load(path).graph
    read = {name for node in graph.node if node.domain == DOMAIN for name in node.input}
    weights = [t for t in graph.initializer if len(t.dims) > 1 and t.name in read]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.BFLOAT16}
    clip = np.random.default_rng(1).standard_normal((2, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(path) as engine, adafuse_deploy.load_engine(tiny_graph) as full:
        got, expected = engine.run(clip), full.run(clip)
    assert 0 < np.abs(got.logits - expected.logits).max() < 0.2 * expected.logits.std()
    pairs = zip(got.policies, expected.policies, strict=True)
    assert np.mean([np.mean(ours == theirs) for ours, theirs in pairs]) > 0.9


@pytest.mark.slow
def test_networks_without_anything_to_fuse(make_model: Make, tmp_path: Path) -> None:
    model = make_model("adafuse_tsn_resnet18", **SMALL, size=32, dense_gates=True)
    portable = tmp_path / "model.onnx"
    onnx_exporter.export(model, portable)
    with pytest.raises(InputError, match=r"no blocks .* dense gates"):
        lower(portable, tmp_path / "model.cpu.onnx")
    assert list(tmp_path.iterdir()) == [portable]


def test_a_graph_that_differs_is_never_written(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any) -> tuple[onnx.ModelProto, GraphMetadata, int]:
        fused, metadata, blocks = fuse(*arguments)
        for tensor in fused.graph.initializer:
            if "conv2.conv.weight" in tensor.name:
                values = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values * 3, tensor.name))
        return fused, metadata, blocks

    monkeypatch.setattr(fused_exporter, "fuse", wrong)
    for precision in ("fp32", "bf16"):
        with pytest.raises(CheckFailed, match="differs from"):
            lower(tiny_graph, tmp_path / "model.cpu.onnx", precision=precision)
    assert list(tmp_path.iterdir()) == []


def test_command_line(tiny_graph: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "model.cpu.onnx"
    assert run_cli("build-engine", tiny_graph, "--backend", "onnxruntime", "-o", target) == 0
    assert "5 fused blocks" in capsys.readouterr().out
    assert run_cli("inspect", target) == 0
    assert "tiny.onnx" in capsys.readouterr().out
    arguments = ("build-engine", tiny_graph, "--backend", "onnxruntime", "--fp16")
    assert run_cli(*arguments) == 2

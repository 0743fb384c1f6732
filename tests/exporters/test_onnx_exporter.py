"""Exported graphs: structure, parity in both ONNX Runtime forms, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.inliner import inline_local_functions

import adafuse_deploy
from adafuse_deploy.core.errors import CheckFailed, IncompatibleArtifactError, InputError
from adafuse_deploy.core.metadata import KEY, GraphMetadata
from adafuse_deploy.exporters import onnx_exporter
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION
from tests.golden import EXPORTED, FOLDER, FULL, OTHERS, compare_with_official, golden_clip, load
from tests.support import assert_same, kinds_of

Make = Callable[..., VideoRecognizer]


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_tiny_graph_equals_pytorch(
    library: bool, batch: int, tiny_model: VideoRecognizer, tiny_graph: Path, tiny_clips: np.ndarray
) -> None:
    clips = tiny_clips[:batch]
    with adafuse_deploy.load_engine(tiny_graph, operator_library=library) as engine:
        assert_same(engine.run(clips), tiny_model.predict(clips))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("adafuse_tsm_resnet18", {"dense_gates": True, "consensus": "lstm", "lstm_hidden": 16}),
        ("adafuse_tsm_online_resnet50", {"dense_gates": True, "width": 0.125}),
        ("adafuse_tsn_bninception", {}),
        ("tsm_resnet18", {"width": 0.125}),
    ],
)
def test_every_kind_of_network_exports(
    name: str, overrides: dict[str, Any], make_model: Make, tmp_path: Path
) -> None:
    if "bninception" not in name:
        overrides = {"width": 0.25, **overrides}
    model = make_model(name, size=64, num_segments=3, num_classes=6, **overrides)
    path = tmp_path / "model.onnx"
    metadata = onnx_exporter.export(model, path)
    clips = np.random.default_rng(0).standard_normal((2, 3, 3, 64, 64), np.float32)
    expected = model.predict(clips)
    for policy in expected.policies:
        assert len(np.unique(policy)) == 3  # otherwise parity would say little
    assert len(metadata.gates) == len(expected.policies)
    for library in (False, True):
        with adafuse_deploy.load_engine(path, operator_library=library) as engine:
            assert_same(engine.run(clips), expected)


@pytest.mark.parametrize("name", EXPORTED)
def test_official_checkpoints_keep_their_policies_in_onnx(name: str, tmp_path: Path) -> None:
    model = load(name, tmp_path)
    size = FULL[name]
    path = tmp_path / "model.onnx"
    onnx_exporter.export(model, path)
    clips = golden_clip(size)
    golden = np.load(FOLDER / f"{name}.npz")
    for library in (False, True):
        with adafuse_deploy.load_engine(path, operator_library=library) as engine:
            prediction = engine.run(clips)
        for gate, policy in enumerate(prediction.policies):
            reference = [golden[f"policy_{gate:02d}"], golden[f"policy_clip1_{gate:02d}"]]
            np.testing.assert_array_equal(2 - policy, np.stack(reference))
        error = np.abs(prediction.logits - golden["logits"]).max()
        assert error <= 1e-4 * np.sqrt(np.mean(golden["logits"] ** 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_the_other_official_configurations_in_onnx(name: str, tmp_path: Path) -> None:
    model = load(name, tmp_path)
    path = tmp_path / "model.onnx"
    onnx_exporter.export(model, path)
    for library in (False, True):
        with adafuse_deploy.load_engine(path, operator_library=library) as engine:
            comparison = compare_with_official(name, model, engine.run(golden_clip(224)))
        assert comparison.unexcused == 0
        assert comparison.frame_logits.relative <= 1e-4
        assert comparison.logits.relative <= 1e-4


def test_graph_is_readable_and_complete(tiny_model: VideoRecognizer, tiny_graph: Path) -> None:
    proto = onnx.load(tiny_graph)
    # Every policy rules one convolution's outputs and the next one's inputs.
    gated = {node.input[3] for node in proto.graph.node if node.op_type == "GatedConv"}
    promised = {node.input[3] for node in proto.graph.node if node.op_type == "SkipConv"}
    assert gated == promised == {v.name for v in proto.graph.output if "policy" in v.name}
    assert not {"BatchNormalization", "Where"} & kinds_of(proto)
    assert {f.name for f in proto.functions} == {"GatedConv", "SkipConv"}
    frames = proto.graph.input[0].type.tensor_type.shape.dim
    assert frames[0].dim_param == "batch" and [d.dim_value for d in frames[1:]] == [4, 3, 32, 32]
    metadata = GraphMetadata.from_props({p.key: p.value for p in proto.metadata_props}, "graph")
    assert [output.name for output in proto.graph.output] == metadata.outputs
    assert metadata.config == tiny_model.config
    assert metadata.layers == tiny_model.layers()
    assert len(metadata.checkpoint_sha256) == 64
    assert metadata.operators == {DOMAIN: VERSION}
    inlined = inline_local_functions(proto)
    assert {node.domain for node in inlined.graph.node} == {""}


def test_a_graph_that_differs_is_never_written(
    tiny_model: VideoRecognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = onnx_exporter._trace

    def wrong(*arguments: Any) -> onnx.ModelProto:
        proto = trace(*arguments)
        for tensor in proto.graph.initializer:
            if tensor.name.endswith("conv1.conv.weight"):
                values = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values * 1.5, tensor.name))
        return proto

    monkeypatch.setattr(onnx_exporter, "_trace", wrong)
    with pytest.raises(CheckFailed, match="differs from PyTorch"):
        onnx_exporter.export(tiny_model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_output(tiny_model: VideoRecognizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot write"):
        onnx_exporter.export(tiny_model, tmp_path / "missing" / "model.onnx")


def test_metadata_of_other_files_is_refused(tiny_graph: Path) -> None:
    props = {p.key: p.value for p in onnx.load(tiny_graph).metadata_props}
    with pytest.raises(InputError, match="no adafuse-deploy metadata"):
        GraphMetadata.from_props({}, "graph")
    with pytest.raises(InputError, match="damaged"):
        GraphMetadata.from_props({KEY: props[KEY][:100]}, "graph")
    with pytest.raises(IncompatibleArtifactError, match="schema 99"):
        GraphMetadata.from_props({KEY: '{"schema":99,"tool_version":"9"}'}, "graph")

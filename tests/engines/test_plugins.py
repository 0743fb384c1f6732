"""Engines with our plugins: the graph that TensorRT's parser gets, and the library's refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.core.metadata import GraphMetadata, policy_name
from adafuse_deploy.engines import plugin_library
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.sidecar import read_sidecar
from adafuse_deploy.exporters.build_options import BuildOptions
from adafuse_deploy.exporters.gpu_engine import build_gpu_engine
from adafuse_deploy.graph.half_precision import to_half
from adafuse_deploy.graph.plugin_graph import OPERATORS, for_plugins
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.ops.conv import gated_conv, skip_conv
from tests.nvidia import FakeConfig, FakeTensorRT, write_engine
from tests.support import run_cli


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the plugin library, installed."""
    path = tmp_path / "lib" / plugin_library.FILE_NAME
    path.parent.mkdir()
    path.write_bytes(b"plugins")
    monkeypatch.setenv(plugin_library.ENVIRONMENT_VARIABLE, str(path))
    return path


# What native/tensorrt computes, from weights in its order, which is (Cout, kH, kW, Cin), or
# (kH, kW, Cin, Cout) with an input policy.
class _GatedConv(OpRun):
    op_domain = "ai.adafuse"

    def _run(self, x, weight, bias, policy, input_policy=None, **attributes):  # type: ignore[no-untyped-def]
        order = (0, 3, 1, 2) if input_policy is None else (3, 2, 0, 1)
        x, weight, bias, policy = _tensors(x, weight.transpose(order), bias, policy)
        return (gated_conv(x, weight, bias, policy, None, *_geometry(**attributes)).numpy(),)


class _SkipConv(OpRun):
    op_domain = "ai.adafuse"

    def _run(self, x, weight, bias, policy, **attributes):  # type: ignore[no-untyped-def]
        x, weight, bias, policy = _tensors(x, weight.transpose(3, 2, 0, 1), bias, policy)
        return (skip_conv(x, weight, bias, policy, *_geometry(**attributes)).numpy(),)


def _tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(array)) for array in arrays]


def _geometry(strides: Any, pads: Any, packed: int, **rest: Any) -> tuple[list[int], list[int]]:
    assert packed == 1
    return list(strides), list(pads[:2])


_GatedConv.__name__, _SkipConv.__name__ = OPERATORS


def test_graph_for_plugins(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    model, metadata = read_graph(tiny_graph)
    graph = for_plugins(model)
    conditional = [node for node in graph.graph.node if node.domain == "ai.adafuse"]
    assert not graph.functions
    assert {node.op_type for node in conditional} == {"GatedConv", "SkipConv"}
    for node in conditional:
        attributes = {
            entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute
        }
        assert attributes["plugin_namespace"] == b"ai.adafuse"
        assert attributes["plugin_version"] == b"1"
    clips = tiny_clips[:2]
    session = ReferenceEvaluator(graph, new_ops=[_GatedConv, _SkipConv])
    got = dict(zip(metadata.outputs, session.run(metadata.outputs, {"frames": clips}), strict=True))
    with load_engine(tiny_graph, operator_library=False) as engine:
        expected = engine.run(clips)
    scale = np.sqrt(np.mean(expected.logits**2))
    np.testing.assert_allclose(got["logits"], expected.logits, atol=1e-4 * scale)
    for gate, policy in enumerate(expected.policies):
        np.testing.assert_array_equal(got[policy_name(gate)], policy)


def test_half_precision_reaches_the_plugins(tiny_graph: Path) -> None:
    model, _ = read_graph(tiny_graph)
    graph = for_plugins(to_half(model, "fp16")).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    conditional = [node for node in graph.node if node.domain == "ai.adafuse"]
    assert conditional
    for node in conditional:
        assert {types[name] for name in node.input[1:3]} == {onnx.TensorProto.FLOAT16}


@pytest.mark.usefixtures("gpu", "tensorrt")
class TestEngines:
    def test_build(self, tiny_graph: Path, tmp_path: Path, library: Path) -> None:
        target = tmp_path / "model.engine"
        sidecar = build_gpu_engine(tiny_graph, target, options=BuildOptions(precision="fp16"))
        assert read_sidecar(target) == sidecar
        assert sidecar.operators == plugin_library.describe(library)
        assert FakeTensorRT.loaded == [str(library)]
        assert {"GatedConv", "SkipConv"} <= {node.op_type for node in onnx.load(target).graph.node}
        assert FakeConfig.last.plugins_to_serialize == []

    def test_build_without(
        self, tiny_graph: Path, tmp_path: Path, library: Path, capsys: Any
    ) -> None:
        target = tmp_path / "model.engine"
        assert run_cli("build-engine", tiny_graph, "-o", target, "--plugins", "none") == 0
        assert "every channel computed" in capsys.readouterr().out
        assert read_sidecar(target).operators is None
        assert run_cli("build-engine", tiny_graph, "-o", target) == 0
        assert "conditional plugins" in capsys.readouterr().out

    def test_embedded(self, tiny_graph: Path, tmp_path: Path, library: Path) -> None:
        target = tmp_path / "model.engine"
        options = BuildOptions(plugins=str(library), embed_plugins=True)
        sidecar = build_gpu_engine(tiny_graph, target, options=options)
        assert sidecar.operators == plugin_library.describe(library, embedded=True)
        assert FakeConfig.last.plugins_to_serialize == [str(library)]
        assert FakeConfig.last.flags == ["version compatible"]

    def test_nothing_to_embed(
        self, tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(plugin_library.ENVIRONMENT_VARIABLE, raising=False)
        options = BuildOptions(plugins="none", embed_plugins=True)
        with pytest.raises(InputError, match="no plugin library to embed"):
            build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)

    @pytest.mark.parametrize("embedded", [False, True])
    def test_run(
        self,
        tiny_graph: Path,
        tiny_metadata: GraphMetadata,
        tmp_path: Path,
        library: Path,
        embedded: bool,
    ) -> None:
        path = tmp_path / "model.engine"
        operators = plugin_library.describe(library, embedded=embedded)
        write_engine(path, tiny_graph.read_bytes(), tiny_metadata, operators=operators)
        load_engine(path).close()
        assert FakeTensorRT.loaded == ([] if embedded else [str(library)])
        assert FakeTensorRT.host_code_allowed == embedded

    def test_other_library(
        self, tiny_graph: Path, tiny_metadata: GraphMetadata, tmp_path: Path, library: Path
    ) -> None:
        path = tmp_path / "model.engine"
        operators = plugin_library.describe(library)
        write_engine(path, tiny_graph.read_bytes(), tiny_metadata, operators=operators)
        library.write_bytes(b"other plugins")
        with pytest.raises(IncompatibleArtifactError, match="ADAFUSE_TENSORRT_PLUGIN, or build"):
            load_engine(path)
        library.unlink()
        with pytest.raises(MissingDependencyError, match="make plugin"):
            load_engine(path)

    def test_no_plugin_library(self, tiny_graph: Path, tmp_path: Path, library: Path) -> None:
        library.write_bytes(b"nothing")
        with pytest.raises(MissingDependencyError, match="cannot take plugins from"):
            build_gpu_engine(tiny_graph, tmp_path / "model.engine")
        assert not (tmp_path / "model.engine").exists()


@pytest.mark.parametrize(("backend", "precision"), [("tensorrt-rtx", "fp16"), ("tensorrt", "int8")])
def test_where_plugins_do_not_serve(library: Path, backend: str, precision: str) -> None:
    assert plugin_library.find_plugins("auto", backend, precision) is None
    with pytest.raises(InputError, match="leave out --plugins"):
        plugin_library.find_plugins(str(library), backend, precision)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="--plugins none"):
        plugin_library.find_plugins(str(tmp_path / "missing.so"), "tensorrt", "fp16")

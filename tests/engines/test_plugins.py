"""Engines with our plugins: what is built and loaded, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines import plugin_library
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.sidecar import read_sidecar
from adafuse_deploy.exporters.build_options import BuildOptions
from adafuse_deploy.exporters.gpu_engine import build_gpu_engine
from adafuse_deploy.graph.plugins import OPERATOR
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


@pytest.mark.usefixtures("gpu", "tensorrt")
class TestEngines:
    @pytest.mark.parametrize("precision", ["fp16", "fp32"])
    def test_build(self, served_graph: Path, tmp_path: Path, library: Path, precision: str) -> None:
        target = tmp_path / "model.engine"
        sidecar = build_gpu_engine(served_graph, target, options=BuildOptions(precision=precision))
        assert read_sidecar(target) == sidecar
        assert sidecar.operators == plugin_library.describe(library)
        assert FakeTensorRT.loaded == [str(library)]
        graph = onnx.load(target)
        blocks = [node for node in graph.graph.node if node.domain == "ai.adafuse"]
        assert [node.op_type for node in blocks] == [OPERATOR] * 5 and not graph.functions
        types = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
        stored = {"fp16": onnx.TensorProto.FLOAT16, "fp32": onnx.TensorProto.FLOAT}[precision]
        assert {types[name] for node in blocks for name in node.input[1:4:2]} == {stored}
        assert FakeConfig.last.plugins_to_serialize == []

    def test_build_without(
        self, served_graph: Path, tmp_path: Path, library: Path, capsys: Any
    ) -> None:
        target = tmp_path / "model.engine"
        assert run_cli("build-engine", served_graph, "-o", target, "--plugins", "none") == 0
        assert "every channel computed" in capsys.readouterr().out
        assert read_sidecar(target).operators is None
        assert run_cli("build-engine", served_graph, "-o", target) == 0
        assert "conditional plugins" in capsys.readouterr().out

    def test_network_that_the_library_does_not_serve(
        self, tiny_graph: Path, tmp_path: Path, library: Path, capsys: Any
    ) -> None:
        target = tmp_path / "model.engine"
        assert run_cli("build-engine", tiny_graph, "-o", target) == 0
        said = capsys.readouterr()
        assert "every channel computed" in said.out
        assert "gated blocks are left to TensorRT's layers" in said.err
        assert "multiples of 64" in said.err
        assert read_sidecar(target).operators is None
        assert not {node.domain for node in onnx.load(target).graph.node} - {""}
        target.unlink()
        # Not in silence where the library was asked for.
        for options in (
            BuildOptions(plugins=str(library)),
            BuildOptions(embed_plugins=True),
        ):
            with pytest.raises(InputError, match="has nothing for this network; leave out"):
                build_gpu_engine(tiny_graph, target, options=options)
            assert not target.exists()

    def test_embedded(self, served_graph: Path, tmp_path: Path, library: Path) -> None:
        target = tmp_path / "model.engine"
        options = BuildOptions(plugins=str(library), embed_plugins=True)
        sidecar = build_gpu_engine(served_graph, target, options=options)
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

    def test_no_plugin_library(self, served_graph: Path, tmp_path: Path, library: Path) -> None:
        library.write_bytes(b"nothing")
        with pytest.raises(MissingDependencyError, match="cannot take plugins from"):
            build_gpu_engine(served_graph, tmp_path / "model.engine")
        assert not (tmp_path / "model.engine").exists()


@pytest.mark.parametrize(("backend", "precision"), [("tensorrt-rtx", "fp16"), ("tensorrt", "int8")])
def test_where_plugins_do_not_serve(library: Path, backend: str, precision: str) -> None:
    assert plugin_library.find_plugins("auto", backend, precision) is None
    with pytest.raises(InputError, match="leave out --plugins"):
        plugin_library.find_plugins(str(library), backend, precision)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="--plugins none"):
        plugin_library.find_plugins(str(tmp_path / "missing.so"), "tensorrt", "fp16")

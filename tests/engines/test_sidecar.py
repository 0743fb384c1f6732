"""Engines that do not fit are refused by name before anything opens them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.sidecar import BatchProfile, OperatorLibrary, read_sidecar, sidecar_path
from tests.nvidia import FakeDriver, FakeTensorRT, write_engine


@pytest.fixture
def engine(tmp_path: Path, tiny_metadata: GraphMetadata) -> Path:
    """An engine with its sidecar; its bytes are nothing that opens."""
    path = tmp_path / "model.engine"
    write_engine(path, b"engine", tiny_metadata)
    return path


def edit(engine: Path, **changes: Any) -> None:
    path = sidecar_path(engine)
    path.write_text(json_text({**json.loads(path.read_text()), **changes}))


def refusal(engine: Path) -> str:
    """The message with which the engine is refused, which must happen before it is opened."""
    with pytest.raises(IncompatibleArtifactError) as caught:
        load_engine(engine)
    assert caught.value.exit_code == 4
    assert FakeTensorRT.deserialised == 0
    return str(caught.value)


def test_content_survives(tmp_path: Path, tiny_metadata: GraphMetadata) -> None:
    path = tmp_path / "model.plan"
    written = write_engine(
        path,
        b"engine",
        tiny_metadata,
        batch=BatchProfile(1, 2, 16),
        compute_capabilities=("8.6", "12.0"),
        operators=OperatorLibrary("ai.adafuse", 1, "ab" * 32),
    )
    assert sidecar_path(path).name == "model.plan.json"
    assert read_sidecar(path) == written
    assert path.read_bytes() == b"engine"  # nothing is prefixed


@pytest.mark.parametrize("sizes", [(0, 1, 1), (2, 1, 4), (1, 8, 4)])
def test_batch_profile(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="--max-batch"):
        BatchProfile(*sizes)


@pytest.mark.usefixtures("gpu", "tensorrt")
class TestRefusals:
    def test_no_sidecar(self, engine: Path) -> None:
        sidecar_path(engine).unlink()
        assert "model.engine.json beside it" in refusal(engine)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}'])
    def test_damaged_sidecar(self, engine: Path, content: str) -> None:
        sidecar_path(engine).write_text(content)
        assert "cannot be read as the sidecar" in refusal(engine)

    def test_other_schema(self, engine: Path) -> None:
        edit(engine, schema=2, tool_version="7.0")
        message = refusal(engine)
        assert "schema 2 (adafuse-deploy 7.0)" in message
        assert "reads 1" in message

    def test_other_metadata_schema(self, engine: Path) -> None:
        values = json.loads(sidecar_path(engine).read_text())
        edit(engine, metadata={**values["metadata"], "schema": 99})
        assert "metadata schema 99" in refusal(engine)

    @pytest.mark.parametrize("content", [b"engin", b"engine.", b"Engine", b""])
    def test_changed_engine(self, engine: Path, content: bytes) -> None:
        engine.write_bytes(content)
        assert "was changed or cut short" in refusal(engine)

    def test_other_version(self, engine: Path) -> None:
        edit(engine, backend_version="10.3.0.26")
        message = refusal(engine)
        assert "built by tensorrt 10.3.0.26, but this is 10.13.0.35" in message

    def test_other_gpu(self, engine: Path) -> None:
        edit(engine, compute_capabilities=["8.9", "12.0"])
        message = refusal(engine)
        assert "compute capability 8.9, 12.0, but this GPU has 8.6" in message

    def test_bytes_that_tensorrt_refuses(self, engine: Path) -> None:
        with pytest.raises(IncompatibleArtifactError, match=r"TensorRT 10\.13\.0\.35 cannot open"):
            load_engine(engine)
        assert FakeTensorRT.deserialised == 1

    def test_unknown_backend(self, engine: Path) -> None:
        edit(engine, backend="tensorrt-next")
        with pytest.raises(InputError, match="no backend 'tensorrt-next'"):
            load_engine(engine)

    def test_unknown_device(self, engine: Path, gpu: FakeDriver) -> None:
        with pytest.raises(InputError, match="no GPU 1; this machine has 1"):
            load_engine(engine, device="cuda:1")
        with pytest.raises(InputError, match="not on 'cpu'"):
            load_engine(engine, device="cpu")


@pytest.mark.usefixtures("gpu", "no_tensorrt")
def test_missing_runtime(engine: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"adafuse-deploy\[tensorrt\]"):
        load_engine(engine)


@pytest.mark.usefixtures("no_gpu", "tensorrt")
def test_missing_gpu(engine: Path) -> None:
    with pytest.raises(MissingDependencyError, match="no NVIDIA GPU here"):
        load_engine(engine)

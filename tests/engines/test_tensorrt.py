"""Our part of TensorRT's runner and builder, with stand-ins for TensorRT and the driver.

What TensorRT itself does with a graph is tested in test_tensorrt_rtx.py, as far as it goes without
a GPU.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.cuda_driver import Buffer, Gpu
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.sidecar import BatchProfile, read_sidecar, sidecar_path
from adafuse_deploy.exporters.build_options import BuildOptions
from adafuse_deploy.exporters.gpu_engine import build_gpu_engine
from tests.nvidia import (
    FakeBuilder,
    FakeConfig,
    FakeDriver,
    FakeTensorRT,
    write_engine,
)
from tests.support import run_cli

pytestmark = pytest.mark.usefixtures("gpu", "tensorrt")


def test_gpu(gpu: FakeDriver) -> None:
    found = Gpu()
    assert (found.name, found.compute_capability) == ("Test GPU", "8.6")
    with pytest.raises(RuntimeError, match=r"cuMemAlloc_v2: out of memory \(CUDA error 2\)"):
        Buffer(found, 1 << 41)


def test_run(
    tmp_path: Path,
    tiny_graph: Path,
    tiny_metadata: GraphMetadata,
    tiny_clips: np.ndarray,
    gpu: FakeDriver,
) -> None:
    path = tmp_path / "model.engine"
    write_engine(path, tiny_graph.read_bytes(), tiny_metadata)
    with load_engine(tiny_graph, operator_library=False) as plain:
        expected = [plain.run(tiny_clips[:size]) for size in (3, 1, 2)]
    with load_engine(path) as engine:
        assert engine.name == "tensorrt"
        got = [engine.run(tiny_clips[:size]) for size in (3, 1, 2)]
        # One buffer for the input and each output, of the largest batch.
        assert len(gpu.memory) == 1 + len(tiny_metadata.outputs)
        assert max(map(len, gpu.memory.values())) == 4 * 4 * 3 * 32 * 32 * 4
        with pytest.raises(InputError, match="takes 1 to 4 clips at a time, not 5"):
            engine.run(np.repeat(tiny_clips[:1], 5, 0))
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine.logits, theirs.logits)
        np.testing.assert_array_equal(mine.frame_logits, theirs.frame_logits)
        np.testing.assert_array_equal(mine.macs, theirs.macs)
        for a, b in zip(mine.policies, theirs.policies, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == np.uint8
    assert (gpu.memory, gpu.streams) == ({}, 0)  # everything was freed


def test_build_for_the_gpu_at_hand(tiny_graph: Path, tmp_path: Path) -> None:
    cache = tmp_path / "timings.cache"
    options = BuildOptions(batch=BatchProfile(1, 2, 3), workspace=64, timing_cache=cache)
    sidecar = build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)
    assert sidecar.compute_capabilities == ("8.6",)
    assert sidecar.metadata.precision == "fp32"
    assert read_sidecar(tmp_path / "model.engine") == sidecar
    config = FakeConfig.last
    assert config.cleared == ["tf32"]
    assert config.pools == {"workspace": 64 << 20}
    (profile,) = config.profiles
    assert profile.name == "frames"
    assert profile.shapes == tuple((size, 4, 3, 32, 32) for size in (1, 2, 3))
    assert (config.cache, cache.read_bytes()) == (b"", b"timings")
    build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)
    assert FakeConfig.last.cache == b"timings"
    # What was built runs.
    with load_engine(tmp_path / "model.engine") as engine:
        engine.run(np.zeros((2, 4, 3, 32, 32), np.float32))


def test_foreign_timing_cache(tiny_graph: Path, tmp_path: Path) -> None:
    cache = tmp_path / "timings.cache"
    cache.write_bytes(b"of another GPU")
    with pytest.raises(IncompatibleArtifactError, match=r"timings\.cache .* delete it"):
        build_gpu_engine(
            tiny_graph, tmp_path / "model.engine", options=BuildOptions(timing_cache=cache)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["timings.cache"]


def test_other_gpu(tiny_graph: Path, tmp_path: Path) -> None:
    options = BuildOptions(compute_capabilities=("8.9",))
    with pytest.raises(InputError, match=r"has compute capability 8.6; .* tensorrt-rtx"):
        build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)


def test_engine_for_newer_gpus(tiny_graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.engine"
    arguments = ("--hardware-compatibility", "ampere-plus")
    assert run_cli("build-engine", tiny_graph, "-o", target, *arguments) == 0
    assert FakeConfig.last.hardware_compatibility_level == "ampere"
    sidecar = read_sidecar(target)
    assert sidecar.compute_capabilities == ("8.0+",)
    load_engine(target).close()  # this GPU is of 8.6
    for capability in ("8.0", "8.9", "9.0", "12.0"):
        sidecar.check_gpu(target, capability)
    with pytest.raises(IncompatibleArtifactError, match=r"8\.0\+, but this GPU has 7\.5"):
        sidecar.check_gpu(target, "7.5")


def test_engine_for_gpus_of_the_same_capability(tiny_graph: Path, tmp_path: Path) -> None:
    options = BuildOptions(hardware_compatibility="same-compute-capability")
    sidecar = build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)
    assert sidecar.compute_capabilities == ("8.6",)
    assert FakeConfig.last.hardware_compatibility_level == "same"


@pytest.mark.parametrize("levels", [None, SimpleNamespace(AMPERE_PLUS="ampere")])
def test_older_tensorrt(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levels: Any
) -> None:
    monkeypatch.setattr(FakeTensorRT, "HardwareCompatibilityLevel", levels)
    options = BuildOptions(hardware_compatibility="same-compute-capability")
    with pytest.raises(InputError, match=r"does not know .* same-compute-capability; leave it out"):
        build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BuildOptions(hardware_compatibility="ampere-plus"), "this one has compute capability 7.5"),
        (BuildOptions("bf16"), "capability 7.5 do not compute in bf16"),
    ],
)
def test_old_gpu(
    tiny_graph: Path,
    tmp_path: Path,
    gpu: FakeDriver,
    monkeypatch: pytest.MonkeyPatch,
    options: BuildOptions,
    message: str,
) -> None:
    monkeypatch.setattr(gpu, "capability", (7, 5))
    with pytest.raises(InputError, match=message):
        build_gpu_engine(tiny_graph, tmp_path / "model.engine", options=options)


def test_bf16_on_this_gpu(tiny_graph: Path, tmp_path: Path) -> None:
    sidecar = build_gpu_engine(tiny_graph, tmp_path / "m.engine", options=BuildOptions("bf16"))
    assert sidecar.precision == "bf16"
    (opset,) = onnx.load(tmp_path / "m.engine").opset_import
    assert opset.version == 22


def test_failed_build_loses_nothing(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    target = tmp_path / "model.engine"
    assert run_cli("build-engine", tiny_graph, "-o", target) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {target, sidecar_path(target)}
    monkeypatch.setattr(FakeBuilder, "fails", True)
    assert run_cli("build-engine", tiny_graph, "-o", target, "--fp16") == 1
    assert "requested 9 GiB of 8 GiB" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

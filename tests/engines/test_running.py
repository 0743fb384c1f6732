"""Running exported graphs and checkpoints: equal answers, and refusals of bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import adafuse_deploy
from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.models.recognizer import VideoRecognizer

ENGINES: list[tuple[str, dict[str, Any], str]] = [
    ("checkpoint", {}, "torch"),
    ("graph", {}, "onnxruntime + operator library"),
    ("graph", {"operator_library": False}, "onnxruntime"),
    ("graph", {"backend": "openvino"}, "openvino"),
]


@pytest.fixture
def files(tiny_graph: Path, tiny_checkpoint: Path) -> dict[str, Path]:
    return {"graph": tiny_graph, "checkpoint": tiny_checkpoint}


def assert_equal(got: Prediction, expected: Prediction) -> None:
    """Decisions and costs are the same, numbers up to float32 rounding."""
    assert len(got.policies) == len(expected.policies) > 0
    for mine, theirs in zip(got.policies, expected.policies, strict=True):
        assert mine.dtype == np.uint8
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(got.macs, expected.macs)
    np.testing.assert_allclose(got.logits, expected.logits, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(got.frame_logits, expected.frame_logits, atol=1e-5, rtol=1e-5)
    assert got.logits.dtype == got.frame_logits.dtype == np.float32


@pytest.mark.parametrize(("file", "options", "name"), ENGINES)
def test_every_backend_answers_as_the_network(
    files: dict[str, Path],
    file: str,
    options: dict[str, Any],
    name: str,
    tiny_model: VideoRecognizer,
    tiny_clips: np.ndarray,
) -> None:
    if options.get("backend"):
        pytest.importorskip(options["backend"], reason="an optional backend is not installed")
    with load_engine(files[file], threads=1, **options) as engine:
        assert engine.name == name
        for batch in (3, 1):  # batches of any size, one after another
            assert_equal(engine.run(tiny_clips[:batch]), tiny_model.predict(tiny_clips[:batch]))


def test_public_name(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    with adafuse_deploy.load_engine(tiny_graph, operator_library=False, threads=1) as engine:
        assert engine.run(tiny_clips).logits.shape == (3, 5)


def test_dense_network_needs_no_operator_library(
    make_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from adafuse_deploy.exporters.onnx_exporter import export

    model = make_model("tsn_resnet18", size=32, width=0.125, num_segments=2, num_classes=3)
    export(model, tmp_path / "dense.onnx")
    monkeypatch.setenv("ADAFUSE_OPERATOR_LIBRARY", str(tmp_path / "missing.so"))
    clips = np.random.default_rng(0).standard_normal((2, 2, 3, 32, 32), np.float32)
    with load_engine(tmp_path / "dense.onnx", threads=1) as engine:
        got = engine.run(clips)
    expected = model.predict(clips)
    assert got.policies == []
    np.testing.assert_array_equal(got.macs, expected.macs)
    np.testing.assert_allclose(got.logits, expected.logits, atol=1e-5)


def test_operator_library_by_path(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    from adafuse_deploy.ops.library import operator_library_path

    with load_engine(tiny_graph, operator_library=operator_library_path()) as engine:
        assert engine.name == "onnxruntime + operator library"
        engine.run(tiny_clips)


def test_missing_operator_library_names_the_way_out(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAFUSE_OPERATOR_LIBRARY", str(tmp_path / "missing.so"))
    with pytest.raises(MissingDependencyError, match=r"missing\.so") as caught:
        load_engine(tiny_graph)
    assert caught.value.exit_code == 3
    load_engine(tiny_graph, operator_library=False).close()


def test_file_that_is_no_operator_library(tiny_graph: Path, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_text("no library")
    with pytest.raises(MissingDependencyError, match=r"library\.so"):
        load_engine(tiny_graph, operator_library=library)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_onnxruntime(tiny_graph: Path, threads: int) -> None:
    with load_engine(tiny_graph, operator_library=False, threads=threads) as engine:
        options = engine._session.get_session_options()  # type: ignore[attr-defined]
        assert options.intra_op_num_threads == threads


def test_threads_of_openvino(tiny_graph: Path) -> None:
    pytest.importorskip("openvino", reason="an optional backend is not installed")
    with load_engine(tiny_graph, backend="openvino", threads=1) as engine:
        compiled = engine._request.get_compiled_model()  # type: ignore[attr-defined]
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
        assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 3, 3, 32, 32), np.float32), r"\(B, 4, 3, 32, 32\), not \(1, 3, 3, 32, 32\)"),
        (np.zeros((1, 4, 3, 32, 16), np.float32), "must have shape"),
        (np.zeros((4, 3, 32, 32), np.float32), "must have shape"),
        (np.zeros((1, 4, 32, 32, 3), np.float32), "must have shape"),
        (np.zeros((1, 4, 3, 32, 32), np.uint8), "must be normalised .* not uint8"),
        (np.zeros((1, 4, 3, 32, 32), np.float64), "not float64"),
    ],
)
@pytest.mark.parametrize("file", ["graph", "checkpoint"])
def test_wrong_input(files: dict[str, Path], file: str, frames: np.ndarray, message: str) -> None:
    with load_engine(files[file]) as engine, pytest.raises(InputError, match=message):
        engine.run(frames)


def test_input_of_any_memory_layout(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    channels_last = np.ascontiguousarray(tiny_clips.transpose(0, 1, 3, 4, 2))
    with load_engine(tiny_graph) as engine:
        assert_equal(engine.run(channels_last.transpose(0, 1, 4, 2, 3)), engine.run(tiny_clips))


def test_closed_engine(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    engine = load_engine(tiny_graph)
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.run(tiny_clips)


@pytest.mark.parametrize("keep", [0, 10, 20_000])
def test_damaged_graph(tiny_graph: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(tiny_graph.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.onnx"):
        load_engine(path)


def test_graph_of_somebody_else(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [result]))
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match="no adafuse-deploy metadata"):
        load_engine(tmp_path / "foreign.onnx")


def test_graph_of_the_future(tiny_graph: Path, tmp_path: Path) -> None:
    model, metadata = read_graph(tiny_graph)
    onnx.helper.set_model_props(model, replace(metadata, schema=99).to_props())
    onnx.save(model, tmp_path / "future.onnx")
    with pytest.raises(IncompatibleArtifactError, match="schema 99"):
        load_engine(tmp_path / "future.onnx")


def test_graph_that_onnxruntime_cannot_run(tiny_graph: Path, tmp_path: Path) -> None:
    model, _ = read_graph(tiny_graph)
    model.opset_import[0].version = 9999
    onnx.save(model, tmp_path / "opset.onnx")
    with pytest.raises(IncompatibleArtifactError, match=r"ONNX Runtime .* cannot run"):
        load_engine(tmp_path / "opset.onnx")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("missing.onnx", {}, "no graph .*missing.onnx"),
        ("missing.pt", {}, "no checkpoint .*missing.pt"),
        ("missing.engine", {}, "no engine .*missing.engine"),
        ("video.mp4", {}, "none of the files that run"),
        ("missing.onnx", {"threads": 0}, "is 1 to 1024, not 0"),
        ("missing.onnx", {"backend": "tflite"}, "'onnxruntime' or 'openvino', not in 'tflite'"),
    ],
)
def test_unusable_arguments(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_engine(tmp_path / name, **options)


def test_devices(tiny_graph: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="operator library runs on the CPU"):
        load_engine(tiny_graph, device="cuda")
    with pytest.raises(InputError, match="not 'tpu'"):
        load_engine(tiny_graph, operator_library=False, device="tpu")
    with pytest.raises(InputError, match="cannot use the device 'nonsense'"):
        load_engine(tiny_checkpoint, device="nonsense")


def test_cuda_without_its_provider(tiny_graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingDependencyError, match=r"adafuse-deploy\[gpu\]"):
        load_engine(tiny_graph, operator_library=False, device="cuda:0")


def test_cuda_that_does_not_start(tiny_graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime falls back to the CPU with a mere warning; we do not."""
    import onnxruntime

    class FallenBack:
        def __init__(self, *arguments: object, providers: list[tuple[str, dict[str, str]]]) -> None:
            assert providers[0][1]["use_tf32"] == "0"

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallenBack)
    with pytest.raises(MissingDependencyError, match="could not start its CUDAExecutionProvider"):
        load_engine(tiny_graph, operator_library=False, device="cuda")


def test_missing_backend_names_the_way_out(
    tiny_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError) as caught:
        load_engine(tiny_graph, backend="openvino")
    assert "pip install 'adafuse-deploy[openvino]'" in str(caught.value)
    assert "onnxruntime" in str(caught.value)

"""NaN and infinity are refused on the way in and on the way out, by every runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.pytorch_engine import TorchEngine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.nvidia import FakeDriver, FakeTensorRT, write_engine

Make = Callable[..., VideoRecognizer]
RUNTIMES: list[tuple[str, dict[str, Any]]] = [
    ("tiny_checkpoint", {}),
    ("tiny_graph", {}),
    ("tiny_graph", {"operator_library": False}),
    ("tiny_graph", {"backend": "openvino"}),
]


@pytest.mark.parametrize(("file", "options"), RUNTIMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_input_that_is_not_finite_is_refused(
    value: float,
    file: str,
    options: dict[str, Any],
    tiny_clips: np.ndarray,
    request: pytest.FixtureRequest,
) -> None:
    if options.get("backend"):
        pytest.importorskip(options["backend"], reason="an optional backend is not installed")
    tiny_clips[1, 2, 0, 5, 7] = value
    with load_engine(request.getfixturevalue(file), threads=1, **options) as engine:
        with pytest.raises(InputError, match="Input 1 of the batch has NaN or infinite"):
            engine.run(tiny_clips)
        engine.run(tiny_clips[:1])  # the others are fine


def test_engines_of_tensorrt_refuse_it_too(
    tiny_graph: Path,
    tiny_metadata: Any,
    tiny_clips: np.ndarray,
    tmp_path: Path,
    gpu: FakeDriver,
    tensorrt: FakeTensorRT,
) -> None:
    path = tmp_path / "model.engine"
    write_engine(path, tiny_graph.read_bytes(), tiny_metadata)
    tiny_clips[2] = np.nan
    with load_engine(path) as engine, pytest.raises(InputError, match="Input 2 of the batch"):
        engine.run(tiny_clips)


def test_streams_stay_where_they_were(make_model: Make) -> None:
    model = make_model(
        "adafuse_tsm_online_resnet18", size=32, width=0.125, num_segments=4, num_classes=5
    )
    frames = np.random.default_rng(0).standard_normal((2, 2, 3, 32, 32), np.float32)
    broken = frames[1].copy()
    broken[1, 0, 0, 0] = np.nan
    engine = TorchEngine(model)
    with engine.stream(2) as stream, engine.stream(2) as other:
        stream.push(frames[0]), other.push(frames[0])
        with pytest.raises(InputError, match="Input 1 of the batch"):
            stream.push(broken)
        assert stream.frames.tolist() == [1, 1]
        np.testing.assert_array_equal(stream.push(frames[1]).logits, other.push(frames[1]).logits)


def test_weights_that_are_not_finite_are_named(
    tiny_model: VideoRecognizer, tiny_graph: Path, tmp_path: Path
) -> None:
    """Of a network that is exported, and of a graph that is read to be built or quantised."""
    model = VideoRecognizer(tiny_model.config)
    with torch.no_grad():
        model.backbone.get_submodule("layer2.0.conv1.bn").bias[1] = torch.inf
    with pytest.raises(InputError, match=r"first in backbone\.layer2\.0\.conv1\.bn\.bias"):
        export(model, tmp_path / "network.onnx")
    graph = onnx.load(tiny_graph)
    (weight,) = [t for t in graph.graph.initializer if list(t.dims) == [5, 64]]
    values = onnx.numpy_helper.to_array(weight).copy()
    values[2, 3] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(graph, tmp_path / "graph.onnx")
    with pytest.raises(InputError, match=f"first in {weight.name}"):
        lower(tmp_path / "graph.onnx", tmp_path / "fused.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["graph.onnx"]


def test_answers_that_are_not_finite_are_refused(
    tiny_model: VideoRecognizer, tiny_clips: np.ndarray, make_model: Make
) -> None:
    """Weights that are finite and overflow: no check of a file can find those."""
    model = VideoRecognizer(tiny_model.config)
    model.load_state_dict(tiny_model.state_dict())
    with torch.no_grad():
        model.consensus.fc.weight.fill_(3e38)
    with pytest.raises(NotFiniteError, match=r"NaN or infinite logits .* in torch"):
        TorchEngine(model).run(tiny_clips)
    online = make_model("tsm_online_resnet18", size=32, width=0.125, num_segments=4, num_classes=5)
    with torch.no_grad():
        online.consensus.fc.weight.fill_(3e38)
    with TorchEngine(online).stream(3) as stream, pytest.raises(NotFiniteError):
        stream.push(tiny_clips[:, 0])


def test_json_holds_neither_nan_nor_infinity() -> None:
    values = {"a": [1.5, float("nan"), {"b": (np.float64("inf"), -np.inf, True, "NaN")}]}
    text = json_text(values)
    assert json.loads(text) == {"a": [1.5, None, {"b": [None, None, True, "NaN"]}]}
    assert json_text({"a": [1, 2]}, compact=True) == '{"a":[1,2]}'
    with pytest.raises(TypeError):
        json_text({"a": object()})

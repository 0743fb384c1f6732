"""A stream gives, frame by frame, what one long clip of the same frames gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import pytest

from adafuse_deploy.core.actions import KEEP, REUSE
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import assert_same, kinds_of, slow

Make = Callable[..., VideoRecognizer]
FRAMES = 20
SIZE = 64  # with 32 the last feature maps are 1 x 1, where OpenVINO 2026.4 mixes up state outputs
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "basic blocks, online shift, shared policies": (
        "adafuse_tsm_online_resnet18",
        {"width": 0.125},
    ),
    "bottlenecks, online shift, dense gates": (
        "adafuse_tsm_online_resnet50",
        {"width": 0.125, "dense_gates": True, "gated_stages": (2, 4), "shared_policy": False},
    ),
    "basic blocks, dense gates, LSTM": (
        "adafuse_tsn_resnet18",
        {"width": 0.125, "dense_gates": True, "consensus": "lstm", "lstm_hidden": 16},
    ),
    "BN-Inception": ("adafuse_tsn_bninception", {}),
    "dense, online shift": ("tsm_online_resnet18", {"width": 0.125}),
}


SLOW = {
    "bottlenecks, online shift, dense gates",
    "basic blocks, dense gates, LSTM",
    "BN-Inception",
}


@dataclass(frozen=True)
class Case:
    """A network, its stream graph, two videos and what the network says of them as clips."""

    graph: Path
    checkpoint: Path
    videos: np.ndarray
    expected: Prediction


@pytest.fixture(
    scope="module",
    params=[slow(name) if name in SLOW else name for name in NETWORKS],
)
def case(
    request: pytest.FixtureRequest, make_model: Make, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    name, overrides = NETWORKS[request.param]
    model = make_model(name, size=SIZE, num_segments=FRAMES, num_classes=6, **overrides)
    folder = tmp_path_factory.mktemp("stream")
    export(model, folder / "stream.onnx", mode="stream")
    save_checkpoint(model, folder / "model.pt")
    videos = np.random.default_rng(0).standard_normal((2, FRAMES, 3, SIZE, SIZE), np.float32)
    expected = model.predict(videos)
    for policy in expected.policies:
        assert len(np.unique(policy)) == 3  # otherwise parity would say little
        assert ((policy[:, 1:] == REUSE) & (policy[:, :-1] != KEEP)).any()  # computed on demand
    return Case(folder / "stream.onnx", folder / "model.pt", videos, expected)


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("graph", {}),
        ("graph", {"operator_library": False}),
        ("graph", {"backend": "openvino"}),
        ("checkpoint", {}),
    ],
)
def test_streams_equal_one_long_clip(case: Case, file: str, options: dict[str, Any]) -> None:
    if options.get("backend"):
        pytest.importorskip(options["backend"], reason="an optional backend is not installed")
    with load_engine(getattr(case, file), threads=1, **options) as engine, engine.stream(2) as both:
        steps = [both.push(frame) for frame in case.videos.swapaxes(0, 1)]
        alone = engine.run(case.videos[1:]) if file == "graph" else None
    whole = Prediction(
        steps[-1].logits,
        np.concatenate([step.frame_logits for step in steps], 1),
        [np.concatenate(policy, 1) for policy in zip(*(s.policies for s in steps), strict=True)],
        np.sum([step.macs for step in steps], 0),  # the same work in sum
    )
    assert_same(whole, case.expected)
    if alone is not None:
        expected = case.expected
        policies = [policy[1:] for policy in expected.policies]
        rest = (expected.logits[1:], expected.frame_logits[1:], policies, expected.macs[1:])
        assert_same(alone, Prediction(*rest))


def test_the_graph_says_what_it_hands_on(case: Case) -> None:
    proto, metadata = read_graph(case.graph)
    assert metadata.mode == "stream"
    assert metadata.input_shape == (3, SIZE, SIZE)
    kinds = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT32: "int32"}

    def describe(value: onnx.ValueInfoProto) -> tuple[object, ...]:
        batch, *dims = value.type.tensor_type.shape.dim
        assert batch.dim_param == "batch"
        shape = tuple(dim.dim_value for dim in dims)
        return value.name, shape, kinds[value.type.tensor_type.elem_type]

    state = metadata.state
    expected = [("frame", (3, SIZE, SIZE), "float32")]
    expected += [(entry.input, entry.shape, entry.dtype) for entry in state]
    assert [describe(value) for value in proto.graph.input] == expected
    outputs = [describe(value) for value in proto.graph.output]
    assert [name for name, *_ in outputs] == metadata.outputs
    assert outputs[0] == ("logits", (6,), "float32")
    results = outputs[1 : len(outputs) - len(state)]
    channels = [policy.shape[2] for policy in case.expected.policies]
    assert [shape for _, shape, _ in results] == [(count,) for count in channels]
    handed_on = [(entry.output, entry.shape, entry.dtype) for entry in state]
    assert outputs[len(outputs) - len(state) :] == handed_on
    assert GraphMetadata.from_dict(metadata.to_dict(), "graph") == metadata
    kinds = kinds_of(proto)
    assert ("StreamGatedConv" in kinds) == bool(metadata.gates) and "GatedConv" not in kinds
    inlined = onnx.inliner.inline_local_functions(proto)
    assert {node.domain for node in inlined.graph.node} == {""}


def test_runtimes_may_hand_streams_to_each_other(case: Case) -> None:
    """The kernel leaves channels uncomputed, the body computes all; either continues the other."""
    import onnxruntime

    from adafuse_deploy.ops.library import register

    _, metadata = read_graph(case.graph)
    sessions = []
    for native in (True, False):
        options = onnxruntime.SessionOptions()
        if native:
            register(options)
        sessions.append(onnxruntime.InferenceSession(case.graph, options))
    history = {e.input: np.zeros((2, *e.shape), e.dtype) for e in metadata.state}
    for t in range(8):
        feeds = {"frame": case.videos[:, t], **history}
        results = sessions[t % 2].run(metadata.outputs, feeds)
        named = dict(zip(metadata.outputs, results, strict=True))
        history = {entry.input: named[entry.output] for entry in metadata.state}
        np.testing.assert_allclose(
            named["logits"], case.expected.frame_logits[:, t], rtol=1e-4, atol=1e-5
        )


def test_bidirectional_shift_is_refused(tiny_model: VideoRecognizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bidirectional temporal shift needs the next frame") as e:
        export(tiny_model, tmp_path / "stream.onnx", mode="stream")
    assert "online" in str(e.value) and "clips" in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_unknown_mode_is_refused(tiny_model: VideoRecognizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'clip' or 'stream', not 'video'"):
        export(tiny_model, tmp_path / "video.onnx", mode="video")

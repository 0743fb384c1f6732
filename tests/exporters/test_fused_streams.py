"""Fused blocks in stream graphs: the same answers, their history as state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.fuse.policy_fusion import SharedRows
from adafuse_deploy.graph.new_nodes import add_constant
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import SHALLOW, assert_same, kinds_of, run_cli, slow

Make = Callable[..., VideoRecognizer]
FRAMES = 12
NETWORKS: list[Any] = [
    ("adafuse_tsn_resnet18", {}, sum(SHALLOW)),
    slow("adafuse_tsn_resnet50", {"gated_stages": (1, 4)}, sum(SHALLOW)),
    # Shifted inputs: only blocks with a projection do not read the unshifted input too.
    ("adafuse_tsm_online_resnet18", {}, 3),
]


@pytest.mark.parametrize(("name", "overrides", "blocks"), NETWORKS)
def test_fused_streams_equal_one_long_clip(
    name: str, overrides: dict[str, Any], blocks: int, make_model: Make, tmp_path: Path
) -> None:
    model = make_model(name, size=64, width=0.125, num_segments=FRAMES, num_classes=6, **overrides)
    portable, fused = tmp_path / "portable.onnx", tmp_path / "fused.onnx"
    export(model, portable, mode="stream")
    assert lower(portable, fused)[1] == blocks
    videos = np.random.default_rng(0).standard_normal((2, FRAMES, 3, 64, 64), np.float32)
    with load_engine(fused, threads=2) as engine:
        assert_same(engine.run(videos), model.predict(videos))
        with engine.stream(2) as stream:
            fresh = [stream.push(videos[:, t]) for t in range(3)]
            stream.reset(1)
            again = stream.push(np.stack([videos[0, 3], videos[1, 0]]))
            np.testing.assert_allclose(
                again.frame_logits[1], fresh[0].frame_logits[1], rtol=1e-4, atol=1e-5
            )
        _check_state(fused)


def _check_state(path: Path) -> None:
    proto, metadata = read_graph(path)
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert [value.name for value in proto.graph.input] == [
        "frame",
        *(entry.input for entry in metadata.state),
    ]
    assert {value.name for value in proto.graph.output} == set(metadata.outputs)
    for entry in metadata.state:
        assert shapes[entry.input] == shapes[entry.output] == entry.shape
    blocks = ("StreamBasicBlock", "StreamBottleneck")
    for node in (node for node in proto.graph.node if node.op_type in blocks):
        assert {*node.input[-3:]} <= {entry.input for entry in metadata.state}
        assert {*node.output[-2:]} <= {entry.output for entry in metadata.state}


def test_bfloat16(make_model: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model("adafuse_tsn_resnet18", size=64, width=0.125, num_segments=4, num_classes=6)
    export(model, tmp_path / "portable.onnx", mode="stream")
    _, blocks = lower(tmp_path / "portable.onnx", tmp_path / "fused.onnx", precision="bf16")
    assert blocks == sum(SHALLOW)
    _check_state(tmp_path / "fused.onnx")
    assert run_cli("inspect", tmp_path / "fused.onnx") == 0
    assert "fused blocks: StreamBasicBlock 5" in " ".join(capsys.readouterr().out.split())


def test_policy_networks_share_their_first_layer(make_model: Make, tmp_path: Path) -> None:
    model = make_model("adafuse_tsn_resnet18", size=64, width=0.125, num_segments=2, num_classes=6)
    assert model.config.shared_policy
    export(model, tmp_path / "portable.onnx", mode="stream")
    lower(tmp_path / "portable.onnx", tmp_path / "fused.onnx")
    proto, _ = read_graph(tmp_path / "fused.onnx")
    networks = [node for node in proto.graph.node if node.op_type == "PolicyNetwork"]
    assert networks and "ArgMax" not in kinds_of(proto)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    first = {node.input[2] for node in networks}
    # Each gate has a normalisation of its own, merged into the layer that it shares.
    assert len(first) == len({shapes[name] for name in first}) < len(networks)
    known = {value.name for value in proto.graph.input}
    assert {node.input[0] for node in networks} <= known
    # Those that share a layer weigh their previous features together.
    made = {name: node for node in proto.graph.node for name in node.output}
    for weight in first:
        sharing = [node for node in networks if node.input[2] == weight]
        if len(sharing) < 2:
            assert len(sharing[0].input) == 7
            continue
        shares = [node.input[7] for node in sharing]
        split = made[shares[0]]
        assert list(split.output) == shares
        history = made[split.input[0]]
        assert history.op_type == "PolicyHistory" and history.input[1] == weight
        assert list(made[history.input[0]].input) == [node.input[0] for node in sharing]


@pytest.mark.parametrize("shared", [slow(True), False])
def test_policies_are_those_of_the_portable_graph(
    shared: bool, make_model: Make, tmp_path: Path
) -> None:
    model = make_model(
        "adafuse_tsn_resnet18",
        size=64,
        width=0.125,
        num_segments=6,
        num_classes=6,
        shared_policy=shared,
    )
    portable, fused = tmp_path / "portable.onnx", tmp_path / "fused.onnx"
    export(model, portable, mode="stream")
    lower(portable, fused)
    videos = np.random.default_rng(1).standard_normal((3, 6, 3, 64, 64), np.float32)
    with load_engine(portable) as expected, load_engine(fused, threads=2) as engine:
        assert_same(engine.run(videos), expected.run(videos))
    proto, _ = read_graph(fused)
    assert ("PolicyHistory" in kinds_of(proto)) == shared


def test_shared_rows() -> None:
    random = np.random.default_rng(0)
    matrix = random.standard_normal((5, 40)).astype(np.float32)
    matrix[3] = 0
    factors = np.array([2, -0.3, 1, 1, 0], np.float32)
    rows, graph = SharedRows(), ir.Graph([], [], nodes=[])
    first = add_constant(graph, "a", matrix)
    assert rows.find(first)[0] is first
    shared, found = rows.find(add_constant(graph, "b", factors[:, None] * matrix))
    assert shared is first
    np.testing.assert_allclose(found[[0, 1, 2, 4]], factors[[0, 1, 2, 4]], rtol=1e-6)
    other = matrix.copy()
    other[2, 7] += 1e-5
    for name, values in (("c", other), ("d", np.zeros_like(matrix[:, :30]))):
        own = add_constant(graph, name, values)
        assert rows.find(own)[0] is own


@pytest.mark.slow
def test_nothing_to_fuse(make_model: Make, tmp_path: Path) -> None:
    model = make_model(
        "adafuse_tsn_resnet18",
        size=64,
        width=0.125,
        num_segments=2,
        num_classes=6,
        dense_gates=True,
    )
    export(model, tmp_path / "portable.onnx", mode="stream")
    with pytest.raises(InputError, match=r"no blocks .* dense gates"):
        lower(tmp_path / "portable.onnx", tmp_path / "fused.onnx")
    assert onnx.load(tmp_path / "portable.onnx").graph.node

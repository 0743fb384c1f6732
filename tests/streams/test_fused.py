"""Fused blocks in stream graphs: the same answers, their inputs as state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from adafuse_deploy.engines.graph import read_graph
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.lowering.build import lower
from adafuse_deploy.errors import InputError
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import assert_same, run_cli

Make = Callable[..., VideoRecognizer]
FRAMES = 12
NETWORKS: list[tuple[str, dict[str, Any], int]] = [
    ("adafuse_tsn_resnet18", {}, 8),
    ("adafuse_tsn_resnet50", {"gated_stages": (1, 4)}, 16),
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
    streams = [node for node in proto.graph.node if node.op_type.startswith("Stream")]
    fused = [node for node in streams if node.op_type != "StreamGatedConv"]
    for node in fused:
        assert {*node.input[-3:]} <= {entry.input for entry in metadata.state}
        assert {*node.output[-2:]} <= {entry.output for entry in metadata.state}


def test_bfloat16(make_model: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model("adafuse_tsn_resnet18", size=64, width=0.125, num_segments=4, num_classes=6)
    export(model, tmp_path / "portable.onnx", mode="stream")
    _, blocks = lower(tmp_path / "portable.onnx", tmp_path / "fused.onnx", precision="bf16")
    assert blocks == 8
    _check_state(tmp_path / "fused.onnx")
    assert run_cli("inspect", tmp_path / "fused.onnx") == 0
    assert "fused blocks: StreamBasicBlock 8" in capsys.readouterr().out


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

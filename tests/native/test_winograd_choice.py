"""The library decides on Winograd by the size that the graph fixes, and refuses other layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from adafuse_deploy.ops.library import register
from tests.native.nodes import Good, to_frames

ort = pytest.importorskip("onnxruntime")


def run(size: int, declared: bool, **attributes: Any) -> np.ndarray:
    """Convolve frames of ``size`` x ``size`` pixels whose size the graph states or does not."""
    rng = np.random.default_rng(0)
    frames = to_frames(rng.random((2, 24, size, size), np.float32), 1)
    weight = rng.standard_normal((40, 24, 3, 3)).astype(np.float32)
    node = Good(
        "FrameConv",
        [frames, weight, np.zeros(40, np.float32)],
        (1, 2),
        (TensorProto.FLOAT,) * 2,
        {
            "channels": [24],
            "stride": 1,
            "input_border": 1,
            "border": 0,
            "precision": "fp32",
            **attributes,
        },
        lambda inputs, attributes: None,
    )
    model = node.model()
    if declared:
        shape = [None, size + 2, size + 2, None]
        info = helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)
        model.graph.input[0].CopyFrom(info)
    options = ort.SessionOptions()
    register(options)
    session = ort.InferenceSession(model.SerializeToString(), options)
    pooled: np.ndarray = session.run(None, node.feeds())[1]
    return pooled


@pytest.mark.parametrize(
    ("size", "declared", "expected"), [(12, True, 1), (8, True, 0), (12, False, 0)]
)
def test_large_frames_use_winograd(size: int, declared: bool, expected: int) -> None:
    decided = run(size, declared)
    assert np.array_equal(decided, run(size, declared, winograd=expected))
    # The two ways round otherwise, so that the comparison says something.
    assert not np.array_equal(decided, run(size, declared, winograd=1 - expected))


def test_nodes_of_the_first_release_keep_their_choice() -> None:
    assert np.allclose(run(12, True, winograd=0), run(12, True, winograd=1), rtol=1e-4)


def test_frames_of_another_layout_are_refused() -> None:
    with pytest.raises(Exception, match="layout_version is 2 but this library's layout"):
        run(8, True, layout_version=2)
    assert np.array_equal(run(8, True, layout_version=1), run(8, True))

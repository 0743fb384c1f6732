"""The operator library in ONNX Runtime, one node at a time, against PyTorch's convolution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.ops.library import register

ort = pytest.importorskip("onnxruntime")

DOMAIN = "ai.adafuse"
FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32
RANKS = {"X": 4, "W": 4, "B": 1, "policy": 3, "input_policy": 3}


def make_model(
    operator: str,
    inputs: list[str],
    *,
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    shapes: dict[str, list[int | str | None]] | None = None,
    output_rank: int | None = 4,
) -> bytes:
    """One node of ``operator``; every input named in ``inputs`` is fed, "" is an absent one."""
    shapes = shapes or {}
    values = [
        helper.make_tensor_value_info(
            name,
            INT32 if "policy" in name else FLOAT,
            shapes.get(name, [f"{name}_{axis}" for axis in range(RANKS[name])]),
        )
        for name in inputs
        if name
    ]
    # make_node leaves attributes that are None out.
    attributes: dict[str, Any] = {"strides": strides, "pads": pads}
    node = helper.make_node(operator, inputs, ["Y"], "conv", domain=DOMAIN, **attributes)
    output = helper.make_tensor_value_info("Y", FLOAT, None)
    if output_rank is not None:
        output = helper.make_tensor_value_info("Y", FLOAT, [None] * output_rank)
    graph = helper.make_graph([node], "one_node", values, [output])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    )
    model.ir_version = 10
    return model.SerializeToString()


def make_session(model: bytes, threads: int = 1) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    register(options)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    operator: str,
    feeds: dict[str, np.ndarray],
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    threads: int = 1,
) -> np.ndarray:
    model = make_model(operator, list(feeds), strides=strides or [1, 1], pads=pads or [0, 0, 0, 0])
    return make_session(model, threads).run(None, feeds)[0]


def convolution(
    feeds: dict[str, np.ndarray], strides: list[int], pads: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The convolution in double precision and the size that its rounding errors scale with."""
    top, left, bottom, right = pads
    x, w, b = (torch.from_numpy(feeds[name]).double() for name in ("X", "W", "B"))
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    result = torch.nn.functional.conv2d(x, w, b, strides)
    scale = torch.nn.functional.conv2d(x.abs(), w.abs(), b.abs(), strides)
    return result.numpy(), scale.numpy()


def fuse(raw: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """Apply a policy (N, T, C) to frames (N*T, C, H, W)."""
    frames = raw.reshape(*policy.shape[:2], *raw.shape[1:])
    previous = np.concatenate([np.zeros_like(frames[:, :1]), frames[:, :-1]], axis=1)
    action = policy[..., None, None]
    fused = np.where(action == KEEP, frames, np.where(action == REUSE, previous, 0))
    return fused.reshape(raw.shape)


def random_policy(rng: np.random.Generator, clips: int, frames: int, channels: int) -> np.ndarray:
    mix = rng.dirichlet([0.7, 0.7, 0.7])
    return rng.choice([KEEP, REUSE, SKIP], p=mix, size=(clips, frames, channels)).astype(np.int32)


def random_case(seed: int) -> tuple[dict[str, np.ndarray], list[int], list[int]]:
    """Feeds of a GatedConv with an input policy, strides and pads."""
    rng = np.random.default_rng(seed)
    clips, frames = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    cin, cout = (int(rng.integers(1, 80)) for _ in range(2))
    kernel = [int(size) for size in rng.integers(1, 5, 2)]
    strides = [int(stride) for stride in rng.integers(1, 4, 2)]
    pads = [int(pad) for pad in rng.integers(0, 4, 4)]
    height, width = (int(rng.integers(size, size + 20)) for size in kernel)
    input_policy = random_policy(rng, clips, frames, cin)
    x = rng.standard_normal((clips * frames, cin, height, width), np.float32)
    feeds = {
        "X": fuse(x, input_policy).astype(np.float32),
        "W": rng.standard_normal((cout, cin, *kernel), np.float32),
        "B": rng.standard_normal(cout, np.float32),
        "policy": random_policy(rng, clips, frames, cout),
        "input_policy": input_policy,
    }
    return feeds, strides, pads


def simple_feeds(
    frames: int = 3, cin: int = 4, cout: int = 5, size: int = 6, kernel: int = 3
) -> dict[str, np.ndarray]:
    """Feeds of a GatedConv that keeps everything, for one clip."""
    rng = np.random.default_rng(0)
    return {
        "X": rng.standard_normal((frames, cin, size, size), np.float32),
        "W": rng.standard_normal((cout, cin, kernel, kernel), np.float32),
        "B": rng.standard_normal(cout, np.float32),
        "policy": np.zeros((1, frames, cout), np.int32),
    }


@pytest.mark.parametrize("seed", range(60))
def test_gated_conv_equals_fused_convolution(seed: int) -> None:
    feeds, strides, pads = random_case(seed)
    if seed % 2:
        del feeds["input_policy"]
    raw, scale = convolution(feeds, strides, pads)
    result = run("GatedConv", feeds, strides, pads)
    assert result.dtype == np.float32
    error = np.abs(result - fuse(raw, feeds["policy"]))
    assert error.max() <= 1e-6 * scale.max()


@pytest.mark.parametrize("seed", range(30))
def test_skip_conv_equals_convolution(seed: int) -> None:
    feeds, strides, pads = random_case(seed)
    del feeds["policy"]
    raw, scale = convolution(feeds, strides, pads)
    result = run("SkipConv", feeds, strides, pads)
    assert np.abs(result - raw).max() <= 1e-6 * scale.max()


@pytest.mark.parametrize("seed", range(10))
def test_threads_do_not_change_a_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    feeds = simple_feeds(frames=8, cin=48, cout=200, size=20)
    feeds["policy"] = random_policy(rng, 2, 4, 200)
    results = [run("GatedConv", feeds, pads=[1, 1, 1, 1], threads=n) for n in (1, 2)]
    assert results[0].tobytes() == results[1].tobytes()


def test_one_session_runs_concurrently() -> None:
    session = make_session(
        make_model("GatedConv", ["X", "W", "B", "policy"], strides=[1, 1], pads=[1, 1, 1, 1]),
        threads=2,
    )
    cases = [simple_feeds(frames=4, cin=cin, cout=40, size=20) for cin in (3, 30, 11)]
    expected = [session.run(None, feeds)[0] for feeds in cases]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda feeds: session.run(None, feeds)[0], cases * 10))
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, expected[i % 3])


@pytest.mark.parametrize("action", [KEEP, REUSE, SKIP])
@pytest.mark.parametrize("frames", [1, 4])
def test_uniform_policies(action: int, frames: int) -> None:
    feeds = simple_feeds(frames=frames)
    feeds["policy"][:] = action
    raw, scale = convolution(feeds, [1, 1], [0, 0, 0, 0])
    result = run("GatedConv", feeds)
    assert np.abs(result - fuse(raw, feeds["policy"])).max() <= 1e-6 * scale.max()


def test_reuse_takes_the_raw_convolution_of_the_previous_frame() -> None:
    feeds = simple_feeds(frames=3)
    feeds["policy"][0, :, 0] = [SKIP, REUSE, REUSE]
    raw, scale = convolution(feeds, [1, 1], [0, 0, 0, 0])
    result = run("GatedConv", feeds)
    assert (result[0, 0] == 0).all()
    assert np.abs(result[1:, 0] - raw[:2, 0]).max() <= 1e-6 * scale.max()


def test_cleared_input_channels_are_not_read() -> None:
    feeds = simple_feeds(frames=3)
    feeds["input_policy"] = np.zeros((1, 3, 4), np.int32)
    feeds["input_policy"][0, 0, 1] = REUSE  # of the first frame: zeros by definition
    feeds["input_policy"][0, 2, 3] = SKIP
    feeds["X"][0, 1] = feeds["X"][2, 3] = 0
    expected = run("GatedConv", feeds)
    feeds["X"][0, 1] = feeds["X"][2, 3] = np.nan
    np.testing.assert_array_equal(run("GatedConv", feeds), expected)


def test_empty_batch() -> None:
    feeds = simple_feeds()
    feeds["X"] = feeds["X"][:0]
    feeds["policy"] = feeds["policy"][:0]
    assert run("GatedConv", feeds).shape == (0, 5, 4, 4)


def test_no_input_or_output_channels() -> None:
    feeds = simple_feeds(cout=0)
    assert run("GatedConv", feeds).shape == (3, 0, 4, 4)
    feeds = simple_feeds(cin=0)
    np.testing.assert_array_equal(
        run("GatedConv", feeds), np.broadcast_to(feeds["B"][:, None, None], (3, 5, 4, 4))
    )


def test_absent_optional_input_may_be_spelt_out() -> None:
    feeds = simple_feeds()
    model = make_model("GatedConv", [*feeds, ""], strides=[1, 1], pads=[0, 0, 0, 0])
    result = make_session(model).run(None, feeds)[0]
    np.testing.assert_array_equal(result, run("GatedConv", feeds))


def test_one_session_serves_many_shapes() -> None:
    session = make_session(
        make_model("GatedConv", ["X", "W", "B", "policy"], strides=[2, 2], pads=[1, 1, 1, 1])
    )
    for frames, size in [(2, 30), (8, 5), (1, 17)]:
        feeds = simple_feeds(frames=frames, size=size)
        raw, scale = convolution(feeds, [2, 2], [1, 1, 1, 1])
        assert np.abs(session.run(None, feeds)[0] - raw).max() <= 1e-6 * scale.max()


@pytest.mark.skipif(
    tuple(int(part) for part in ort.__version__.split(".")[:2]) < (1, 24),
    reason="the library leaves shape inference out for older runtimes",
)
@pytest.mark.parametrize("rows", [8, "rows"])
def test_output_shapes_are_known_when_the_model_is_loaded(rows: int | str) -> None:
    shapes: dict[str, list[int | str | None]] = {
        "X": [rows, 3, 13, 10],
        "W": [7, 3, 3, 2],
        "B": [7],
        "policy": ["clips", "frames", 7],
    }
    model = make_model(
        "GatedConv",
        list(shapes),
        strides=[2, 3],
        pads=[0, 1, 2, 0],
        shapes=shapes,
        output_rank=None,
    )
    assert make_session(model).get_outputs()[0].shape == [rows, 7, 7, 4]


def test_unknown_sizes_are_no_obstacle_to_loading() -> None:
    shapes: dict[str, list[int | str | None]] = {"X": [None, 3, None, 10]}
    model = make_model(
        "GatedConv", ["X", "W", "B", "policy"], strides=[1, 1], pads=[0, 0, 0, 0], shapes=shapes
    )
    make_session(model)


def break_policy_value(feeds: dict[str, np.ndarray]) -> None:
    feeds["policy"][0, 2, 1] = 3


def break_input_policy_value(feeds: dict[str, np.ndarray]) -> None:
    feeds["input_policy"] = np.full((1, 3, 4), -1, np.int32)


def break_frames(feeds: dict[str, np.ndarray]) -> None:
    feeds["policy"] = np.zeros((1, 4, 5), np.int32)


def break_policy_channels(feeds: dict[str, np.ndarray]) -> None:
    feeds["policy"] = np.zeros((1, 3, 4), np.int32)


def break_input_policy_channels(feeds: dict[str, np.ndarray]) -> None:
    feeds["input_policy"] = np.zeros((1, 3, 5), np.int32)


def break_in_channels(feeds: dict[str, np.ndarray]) -> None:
    feeds["X"] = feeds["X"][:, :3]


def break_bias(feeds: dict[str, np.ndarray]) -> None:
    feeds["B"] = feeds["B"][:4]


def break_size(feeds: dict[str, np.ndarray]) -> None:
    feeds["X"] = feeds["X"][..., :2]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_policy_value, "policy holds 3 for clip 0, frame 2, channel 1"),
        (break_input_policy_value, "input_policy holds -1 for clip 0, frame 0, channel 0"),
        (break_frames, r"policy \(1, 4, 5\) does not fit X \(3, 4, 6, 6\)"),
        (break_policy_channels, r"policy \(1, 3, 4\) must have 5 channels"),
        (break_input_policy_channels, r"input_policy \(1, 3, 5\) must have 4 channels"),
        (break_in_channels, r"W \(5, 4, 3, 3\) does not fit X \(3, 3, 6, 6\)"),
        (break_bias, r"B \(4\) does not fit W \(5, 4, 3, 3\)"),
        (break_size, "the kernel must lie within the padded frame"),
    ],
)
def test_bad_tensors_are_refused(damage: Any, message: str) -> None:
    feeds = simple_feeds()
    damage(feeds)
    with pytest.raises(Exception, match=message):
        run("GatedConv", feeds)


def test_wrong_rank_is_refused() -> None:
    shapes: dict[str, list[int | str | None]] = {"policy": ["rows", "channels"]}
    feeds = simple_feeds()
    feeds["policy"] = feeds["policy"][0]
    model = make_model("GatedConv", list(feeds), strides=[1, 1], pads=[0, 0, 0, 0], shapes=shapes)
    with pytest.raises(Exception, match=r"policy has shape \(3, 5\) but must have 3 dimensions"):
        make_session(model).run(None, feeds)


@pytest.mark.parametrize(
    ("strides", "pads", "message"),
    [
        ([1], [0, 0, 0, 0], "strides are"),
        ([0, 1], [0, 0, 0, 0], "strides are"),
        ([1, 1], [0, 0], "pads are"),
        ([1, 1], [0, -1, 0, 0], "pads are"),
        (None, [0, 0, 0, 0], "strides"),
    ],
)
def test_bad_attributes_are_refused(
    strides: list[int] | None, pads: list[int], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        make_session(make_model("GatedConv", ["X", "W", "B", "policy"], strides=strides, pads=pads))


def test_registered_kernel_wins_over_function_body() -> None:
    """A model may carry a body for runtimes without the library; here it would give zeros."""
    feeds = simple_feeds()
    model = onnx.load_model_from_string(
        make_model("GatedConv", list(feeds), strides=[1, 1], pads=[0, 0, 0, 0])
    )
    body = helper.make_node("Mul", ["X", "zero"], ["Y"])
    zero = helper.make_node("Constant", [], ["zero"], value_float=0.0)
    model.functions.append(
        helper.make_function(
            DOMAIN,
            "GatedConv",
            ["X", "W", "B", "policy", "input_policy"],
            ["Y"],
            [zero, body],
            [helper.make_opsetid("", 20)],
            attributes=["strides", "pads"],
        )
    )
    result = make_session(model.SerializeToString()).run(None, feeds)[0]
    assert np.abs(result).max() > 1

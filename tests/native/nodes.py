"""A small good node of every operator, and what each operator gives by its definition.

Definitions are written with PyTorch, in double precision, from docs/operators.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION

CLIPS, FRAMES, CHANNELS, MIDDLE, OUTPUTS, SIZE = 2, 2, 5, 6, 7, 8
ROWS = CLIPS * FRAMES
SCALE = 0.05
"""What an integer of one stands for in every quantised feature map."""
_LINE = 64

Tensors = list["np.ndarray | None"]
Definition = Callable[[Tensors, dict[str, Any]], "list[np.ndarray] | None"]


class Meaningless(Exception):
    """The tensors are not what the operator asks for, but of the right sizes."""


@dataclass(frozen=True, eq=False)
class Good:
    """A node that runs.

    Attributes:
        operator: of the node.
        inputs: its tensors, None where an optional one is left out.
        constant: which inputs are constants of the graph.
        outputs: types of its results.
        attributes: of the node.
        definition: gives the results from inputs and attributes, or None or :class:`Meaningless`
            where they mean nothing.
        tolerance: of the results.
    """

    operator: str
    inputs: Tensors
    constant: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Any]
    definition: Definition
    tolerance: float = 1e-4

    def model(self) -> onnx.ModelProto:
        """Return a graph of this node alone."""
        names = ["" if x is None else f"x{i}" for i, x in enumerate(self.inputs)]
        results = [f"y{i}" for i in range(len(self.outputs))]
        node = helper.make_node(
            self.operator, names, results, "node", domain=DOMAIN, **self.attributes
        )
        values, constants = [], []
        for i, x in enumerate(self.inputs):
            if x is not None and i in self.constant:
                constants.append(numpy_helper.from_array(x, names[i]))
            elif x is not None:
                kind = helper.np_dtype_to_tensor_dtype(x.dtype)
                values.append(helper.make_tensor_value_info(names[i], kind, [None] * x.ndim))
        outputs = [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in zip(results, self.outputs, strict=True)
        ]
        graph = helper.make_graph([node], "one_node", values, outputs, constants)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def feeds(self) -> dict[str, np.ndarray]:
        """Return what the graph is run with."""
        return {
            f"x{i}": x
            for i, x in enumerate(self.inputs)
            if x is not None and i not in self.constant
        }


def pitch(channels: int, value_bytes: int = 4) -> int:
    """Units of four bytes from one pixel of frames to the next."""
    whole = -(-channels * value_bytes // _LINE) * _LINE
    return (whole if whole % (4 * _LINE) else whole + _LINE) // 4


def to_frames(x: np.ndarray, border: int) -> np.ndarray:
    """Bring (N, C, H, W), float32 or uint8, into the layout of frames."""
    n, c, h, w = x.shape
    units = pitch(c, x.itemsize)
    frames = np.zeros((n, h + 2 * border, w + 2 * border, units * 4 // x.itemsize), x.dtype)
    inside = slice(border, border + h), slice(border, border + w)
    frames[:, inside[0], inside[1], :c] = x.transpose(0, 2, 3, 1)
    return frames.view(np.float32)


def from_frames(
    frames: np.ndarray, channels: int, border: int, kind: Any = np.float32
) -> np.ndarray:
    """Bring frames back to (N, C, H, W)."""
    inside = frames[:, border : frames.shape[1] - border, border : frames.shape[2] - border]
    values = np.ascontiguousarray(inside).view(kind)[..., :channels]
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _double(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.float64))


def fuse(raw: torch.Tensor, policy: np.ndarray | None) -> torch.Tensor:
    """Apply a policy (N, T, C) to frames (N * T, C, H, W)."""
    if policy is None:
        return raw
    frames = raw.reshape(*policy.shape[:2], *raw.shape[1:])
    previous = torch.cat([torch.zeros_like(frames[:, :1]), frames[:, :-1]], 1)
    action = torch.from_numpy(policy.copy())[..., None, None]
    zero = torch.zeros_like(frames)
    return torch.where(
        action == KEEP, frames, torch.where(action == REUSE, previous, zero)
    ).reshape(raw.shape)


def _shift(x: torch.Tensor, frames: int, from_next: int, from_previous: int) -> torch.Tensor:
    clips = x.reshape(-1, frames, *x.shape[1:])
    shifted = clips.clone()
    shifted[:, :, :from_next] = 0
    shifted[:, :-1, :from_next] = clips[:, 1:, :from_next]
    last = from_next + from_previous
    shifted[:, :, from_next:last] = 0
    shifted[:, 1:, from_next:last] = clips[:, :-1, from_next:last]
    return shifted.reshape(x.shape)


def _conv(inputs: Tensors, attributes: dict[str, Any]) -> torch.Tensor:
    x, w, b = (_double(t) for t in inputs[:3] if t is not None)
    top, left, bottom, right = attributes["pads"]
    return F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, attributes["strides"])


def _check_promise(x: np.ndarray | None, policy: np.ndarray | None) -> None:
    """Raise :class:`Meaningless` unless ``x`` is zero where its policy clears channels."""
    assert x is not None
    if policy is not None:
        cleared = policy == SKIP
        cleared[:, 0] |= policy[:, 0] == REUSE
        if x[cleared.reshape(len(x), -1)].any():
            raise Meaningless


def _gated_conv(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    _check_promise(inputs[0], inputs[4] if len(inputs) > 4 else None)
    return [fuse(_conv(inputs, attributes), inputs[3]).numpy()]


def _skip_conv(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    _check_promise(inputs[0], inputs[3])
    return [_conv(inputs, attributes).numpy()]


def _stream_conv(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    policy, previous_x, previous_r, missing = inputs[3:7]
    assert policy is not None and previous_r is not None and missing is not None
    now = _conv(inputs, attributes).numpy()
    before = _conv([previous_x, *inputs[1:3]], attributes).numpy()
    known = np.where((missing == 0)[..., None, None], previous_r, before)
    action = policy[:, 0, :, None, None]
    return [np.where(action == KEEP, now, np.where(action == REUSE, known, 0))]


class _Maps:
    """Feature maps of fused operators, float32 or integers; integers are rounded as stored."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.integers = attributes["precision"] == "int8"
        self._kind = np.uint8 if self.integers else np.float32

    def read(self, frames: np.ndarray, channels: int, border: int) -> torch.Tensor:
        inside = slice(border, -border or None)
        around = frames.copy()
        around[:, inside, inside] = 0
        if around.any():
            raise Meaningless  # what lies around frames has to be zeros
        values = _double(from_frames(frames, channels, border, self._kind))
        return values * SCALE if self.integers else values

    def weights(self, tensors: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        assert tensors[0] is not None and tensors[1] is not None
        weight = _double(tensors[0])
        if self.integers:
            assert tensors[2] is not None
            weight = weight * _double(tensors[2])[:, None, None, None]
        return weight, _double(tensors[1])

    def store(self, values: torch.Tensor) -> torch.Tensor:
        """What a feature map behind a ReLU holds."""
        values = values.relu()
        return (values / SCALE).round().clamp(0, 255) * SCALE if self.integers else values


def _give(result: torch.Tensor, seen: torch.Tensor | None = None) -> list[np.ndarray]:
    seen = result if seen is None else seen
    return [result.numpy(), seen.mean((2, 3)).numpy()]


def _stem(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    maps = _Maps(attributes)
    assert inputs[0] is not None
    x = _double(inputs[0])
    x = (x / SCALE).round().clamp(-128, 127) * SCALE if maps.integers else x
    weight, bias = maps.weights(inputs[1:])
    convolved = F.conv2d(x, weight, bias, attributes["stride"], weight.shape[-1] // 2)
    pooled = F.max_pool2d(
        convolved.relu(), 3, 2, attributes["pool_pad"], 1, bool(attributes["pool_ceil"])
    )
    return _give(maps.store(pooled))


def _channels_last(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    assert inputs[0] is not None
    return _give(_double(inputs[0]))


def _frame_conv(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray] | None:
    maps = _Maps(attributes)
    first = 4 if maps.integers else 3
    padded = [*inputs, *[None] * 12]
    policy, others = padded[first], padded[first + 1 :]
    sources = [inputs[0], *others[1::2]]
    if any(other is not None for other in others[::2]):
        return None  # the order of the values follows from decisions made elsewhere
    border = attributes["input_border"]
    given = [frames for frames in sources if frames is not None]
    x = torch.cat(
        [maps.read(f, c, border) for f, c in zip(given, attributes["channels"], strict=True)], 1
    )
    weight, bias = maps.weights(inputs[1:])
    raw = maps.store(F.conv2d(x, weight, bias, attributes["stride"], weight.shape[-1] // 2))
    result = _give(raw, fuse(raw, policy))
    return result if policy is None else [np.empty(0), result[1]]


def _frame_pool(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray] | None:
    maps = _Maps(attributes)
    x, input_policy, policy = [*inputs, None, None][:3]
    if input_policy is not None:
        return None
    assert x is not None
    values = maps.read(x, attributes["channels"], attributes["input_border"])
    stride, pad, ceil = attributes["stride"], attributes["pad"], bool(attributes["ceil"])
    if stride == 1:
        ceil = False
    if attributes["mode"] in ("max", b"max"):
        pooled = F.max_pool2d(values, 3, stride, pad, 1, ceil)
    else:
        pooled = F.avg_pool2d(F.pad(values, [pad] * 4), 3, stride, 0, ceil)
    pooled = maps.store(pooled)
    result = _give(pooled, fuse(pooled, policy))
    return result if policy is None else [np.empty(0), result[1]]


def _residual(bottleneck: bool) -> Definition:
    def run(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
        maps = _Maps(attributes)
        per, count = (3 if maps.integers else 2), (3 if bottleneck else 2)
        behind = 1 + per * count
        inputs = [*inputs, *[None] * (behind + 1 + per)]
        convs = [maps.weights(inputs[1 + per * i : 1 + per * (i + 1)]) for i in range(count)]
        assert inputs[0] is not None
        policy, shortcut = inputs[behind], inputs[behind + 1 : behind + 1 + per]
        border = 0 if bottleneck else 1
        x = maps.read(inputs[0], convs[0][0].shape[1], border)
        shifted = _shift(
            x, attributes["frames"], attributes["shift_next"], attributes["shift_previous"]
        )
        strides = [1, attributes["stride"], 1] if bottleneck else [attributes["stride"], 1]
        y = shifted
        for i, ((weight, bias), stride) in enumerate(zip(convs, strides, strict=True)):
            y = F.conv2d(y, weight, bias, stride, weight.shape[-1] // 2)
            if i + 1 < count:
                y = maps.store(y)
            if i == 0:
                y = fuse(y, policy)
        if shortcut[0] is None:
            y = y + x
        else:
            weight, bias = maps.weights(shortcut)
            y = y + F.conv2d(shifted, weight, bias, attributes["stride"])
        return _give(maps.store(y))

    return run


def _stream_residual(bottleneck: bool) -> Definition:
    """Of streams that begin: nothing is there to reuse but what the previous input gives."""

    def run(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray] | None:
        behind = 7 if bottleneck else 5
        policy, missing = inputs[behind], inputs[behind + 5]
        assert policy is not None and missing is not None
        if missing.any() or (policy == REUSE).any():
            return None
        return _residual(bottleneck)(inputs[: behind + 3], attributes)

    return run


def _policy_network(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    previous, v, w0, s0, b0, w1, b1, weighed = [*inputs, None][:8]
    assert v is not None and w0 is not None and w1 is not None
    sums = v @ w0[:, -v.shape[1] :].T
    if weighed is not None:
        sums = sums + weighed
    elif previous is not None:
        sums = sums + previous @ w0[:, : v.shape[1]].T
    hidden = s0 * sums + b0
    hidden = np.maximum(0, hidden) if attributes.get("relu", 1) else hidden
    actions = np.array(attributes.get("actions", [KEEP, REUSE, SKIP]), np.int32)
    logits = (hidden @ w1 + b1).reshape(
        -1, attributes["frames"], w1.shape[1] // len(actions), len(actions)
    )
    return [actions[logits.argmax(-1)]]


def _policy_history(inputs: Tensors, attributes: dict[str, Any]) -> list[np.ndarray]:
    previous, w0 = inputs
    assert previous is not None and w0 is not None
    return [previous @ w0[:, : previous.shape[1]].T]


def good_nodes() -> list[Good]:
    """Return a node of every operator; all their optional inputs are there, in some of them."""
    rng = np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def whole(*shape: int) -> np.ndarray:
        """Small integers, whose sums are exact."""
        return rng.integers(-3, 4, shape).astype(np.float32)

    def policy(channels: int, clips: int = CLIPS, frames: int = FRAMES) -> np.ndarray:
        return rng.integers(0, 3, (clips, frames, channels)).astype(np.int32)

    def keep_or_skip(channels: int) -> np.ndarray:
        return 2 * rng.integers(0, 2, (ROWS, 1, channels)).astype(np.int32)

    def maps(channels: int, size: int = SIZE) -> np.ndarray:
        return np.abs(values(ROWS, channels, size, size))

    def integers(channels: int) -> np.ndarray:
        return rng.integers(0, 60, (ROWS, channels, SIZE, SIZE)).astype(np.uint8)

    def conv(outputs: int, channels: int, size: int, quantized: bool = False) -> list[np.ndarray]:
        if not quantized:
            return [values(outputs, channels, size, size), values(outputs)]
        weight = rng.integers(-9, 10, (outputs, channels, size, size)).astype(np.int8)
        return [weight, values(outputs), rng.uniform(0.005, 0.02, outputs).astype(np.float32)]

    float32, int32 = TensorProto.FLOAT, TensorProto.INT32
    plain = {"strides": [2, 1], "pads": [1, 0, 1, 2]}
    nodes = []
    promise = policy(CHANNELS)
    x = fuse(_double(maps(CHANNELS)), promise).numpy().astype(np.float32)
    conv3 = conv(OUTPUTS, CHANNELS, 3)
    nodes += [
        Good(
            "GatedConv",
            [x, *conv3, policy(OUTPUTS), promise],
            (1, 2),
            (float32,),
            plain,
            _gated_conv,
        ),
        Good("SkipConv", [x, *conv3, promise], (1, 2), (float32,), plain, _skip_conv),
    ]
    before, raw = maps(CHANNELS), values(ROWS, OUTPUTS, 4, 8)
    missing = rng.integers(0, 2, (ROWS, OUTPUTS)).astype(np.int32)
    nodes.append(
        Good(
            "StreamGatedConv",
            [
                maps(CHANNELS),
                *conv3,
                policy(OUTPUTS, ROWS, 1),
                before,
                raw,
                missing,
                np.zeros((ROWS, 1, CHANNELS), np.int32),
                np.zeros((ROWS, 1, CHANNELS), np.int32),
            ],
            (1, 2),
            (float32, float32, int32),
            plain,
            _stream_conv,
        )
    )
    floats: dict[str, Any] = {"precision": "fp32", "layout_version": 1}
    eighths: dict[str, Any] = {"precision": "int8", "layout_version": 1}
    two = (float32, float32)
    stem = {"stride": 2, "pool_pad": 1, "pool_ceil": 0, "border": 1}
    nodes += [
        Good(
            "ChannelsLast",
            [values(ROWS, CHANNELS, SIZE, SIZE)],
            (),
            two,
            {"border": 1, **floats},
            _channels_last,
        ),
        Good(
            "Stem",
            [values(ROWS, 3, 17, 18), *conv(OUTPUTS, 3, 7)],
            (1, 2),
            two,
            {**stem, **floats},
            _stem,
        ),
        Good(
            "QuantizedStem",
            [values(ROWS, 3, 17, 18), *conv(OUTPUTS, 3, 5, True)],
            (1, 2, 3),
            two,
            {**stem, **eighths, "scales": [SCALE] * 2},
            _stem,
            1.01 * SCALE,
        ),
    ]
    framed = {"stride": 1, "input_border": 1, "border": 1, "winograd": 1}
    pooled = {
        "channels": CHANNELS,
        "mode": "max",
        "stride": 2,
        "pad": 1,
        "ceil": 1,
        "input_border": 1,
        "border": 0,
    }
    nodes += [
        Good(
            "FrameConv",
            [
                to_frames(maps(3), 1),
                *conv(OUTPUTS, CHANNELS, 3),
                policy(OUTPUTS),
                None,
                to_frames(maps(2), 1),
            ],
            (1, 2),
            two,
            {"channels": [3, 2], **framed, **floats},
            _frame_conv,
        ),
        Good(
            "FrameConv",
            [
                to_frames(maps(3), 1),
                *conv(OUTPUTS, CHANNELS, 1),
                None,
                policy(3),
                to_frames(maps(2), 1),
                policy(2),
            ],
            (1, 2),
            two,
            {"channels": [3, 2], **framed, **floats},
            _frame_conv,
        ),
        Good(
            "QuantizedFrameConv",
            [
                to_frames(integers(3), 1),
                *conv(OUTPUTS, CHANNELS, 3, True),
                policy(OUTPUTS),
                None,
                to_frames(integers(2), 1),
            ],
            (1, 2, 3),
            two,
            {"channels": [3, 2], **framed, **eighths, "scales": [SCALE] * 2},
            _frame_conv,
            1.01 * SCALE,
        ),
        Good(
            "FramePool",
            [to_frames(maps(CHANNELS), 1), None, policy(CHANNELS)],
            (),
            two,
            {**pooled, **floats},
            _frame_pool,
        ),
        Good(
            "FramePool",
            [to_frames(maps(CHANNELS), 1), policy(CHANNELS), policy(CHANNELS)],
            (),
            two,
            {**pooled, "mode": "mean", "stride": 1, **floats},
            _frame_pool,
        ),
        Good(
            "QuantizedFramePool",
            [to_frames(integers(CHANNELS), 1)],
            (),
            two,
            {**pooled, "stride": 1, **eighths, "scales": [SCALE] * 2},
            _frame_pool,
            1.01 * SCALE,
        ),
    ]
    shifted = {"frames": FRAMES, "stride": 1, "shift_next": 1, "shift_previous": 2, "winograd": 1}
    for quantized in (False, True):
        prefix, kinds = ("Quantized", eighths) if quantized else ("", floats)
        frames = integers if quantized else maps

        def convs(*layers: tuple[int, int, int], quantized: bool = quantized) -> list[np.ndarray]:
            return [tensor for layer in layers for tensor in conv(*layer, quantized)]

        def constants(count: int, quantized: bool = quantized) -> tuple[int, ...]:
            per = 3 if quantized else 2
            behind = 1 + per * count
            return (*range(1, behind), *range(behind + 1, behind + 1 + per))

        def scales(count: int, quantized: bool = quantized) -> dict[str, Any]:
            return {"scales": [SCALE] * (count + 1)} if quantized else {}

        tolerance = 8 * SCALE if quantized else 1e-4
        nodes += [
            Good(
                f"{prefix}ConditionalBottleneck",
                [
                    to_frames(frames(CHANNELS), 0),
                    *convs((MIDDLE, CHANNELS, 1), (MIDDLE, MIDDLE, 3), (OUTPUTS, MIDDLE, 1)),
                    policy(MIDDLE),
                    *conv(OUTPUTS, CHANNELS, 1, quantized),
                ],
                constants(3),
                two,
                {**shifted, "stride": 2, **kinds, **scales(3)},
                _residual(True),
                tolerance,
            ),
            Good(
                f"{prefix}ConditionalBasicBlock",
                [
                    to_frames(frames(CHANNELS), 1),
                    *convs((MIDDLE, CHANNELS, 3), (CHANNELS, MIDDLE, 3)),
                    policy(MIDDLE),
                ],
                constants(2)[: 2 * (3 if quantized else 2)],
                two,
                {**shifted, **kinds, **scales(2)},
                _residual(False),
                tolerance,
            ),
        ]
    still = {"frames": 1, "stride": 1, "shift_next": 0, "shift_previous": 0, "winograd": 0}
    room = pitch(MIDDLE + _LINE // 4)
    state = [
        np.zeros((ROWS, SIZE + 2, SIZE + 2, room), np.float32),
        np.zeros((ROWS, MIDDLE), np.int32),
    ]
    four = (float32, float32, float32, int32)
    nodes += [
        Good(
            "StreamBottleneck",
            [
                to_frames(maps(CHANNELS), 0),
                *conv(MIDDLE, CHANNELS, 1),
                *conv(MIDDLE, MIDDLE, 3),
                *conv(OUTPUTS, MIDDLE, 1),
                keep_or_skip(MIDDLE),
                *conv(OUTPUTS, CHANNELS, 1),
                to_frames(maps(CHANNELS), 0),
                *state,
            ],
            (*range(1, 7), 8, 9),
            four,
            {**still, **floats},
            _stream_residual(True),
        ),
        Good(
            "StreamBasicBlock",
            [
                to_frames(maps(CHANNELS), 1),
                *conv(MIDDLE, CHANNELS, 3),
                *conv(CHANNELS, MIDDLE, 3),
                keep_or_skip(MIDDLE),
                None,
                None,
                to_frames(maps(CHANNELS), 1),
                *state,
            ],
            (*range(1, 5),),
            four,
            {**still, **floats},
            _stream_residual(False),
        ),
    ]
    features, hidden = 4, 6
    linear = [whole(hidden), whole(hidden)]
    both = whole(hidden, 2 * features)
    nodes += [
        Good(
            "PolicyNetwork",
            [
                whole(ROWS, features),
                whole(ROWS, features),
                both,
                *linear,
                whole(hidden, 3 * CHANNELS),
                whole(3 * CHANNELS),
                whole(ROWS, hidden),
            ],
            (2, 3, 4, 5, 6),
            (int32,),
            {"frames": FRAMES},
            _policy_network,
        ),
        Good(
            "PolicyNetwork",
            [
                None,
                whole(ROWS, features),
                whole(hidden, features),
                *linear,
                whole(hidden, 2 * CHANNELS),
                whole(2 * CHANNELS),
            ],
            (2, 3, 4, 5, 6),
            (int32,),
            {"frames": FRAMES, "actions": [KEEP, SKIP], "relu": 0},
            _policy_network,
        ),
        Good("PolicyHistory", [whole(ROWS, features), both], (1,), (float32,), {}, _policy_history),
    ]
    return nodes

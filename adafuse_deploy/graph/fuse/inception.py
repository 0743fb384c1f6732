"""Recognising networks of gated convolutions, pooling and concatenation behind a stem."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.fuse.residual_blocks import (
    conv_stride,
    kernel_size,
    only_read_by,
    parameters,
)
from adafuse_deploy.graph.fuse.stem import find_stem
from adafuse_deploy.graph.fuse.temporal_shift import find_part
from adafuse_deploy.graph.index import GraphIndex, attribute

_KEEP, _REUSE = 0, 1
_MOST_TENSORS = 6


@dataclass(frozen=True)
class FrameConv:
    """A convolution with ReLU.

    Attributes:
        source: the value (N * T, C, H, W) that is convolved.
        weights: names of weight and bias ("" for none).
        policy: name of the decisions over its outputs, or "".
        kernel: 1 or 3, padded by half.
        stride: along both axes.
    """

    source: str
    weights: tuple[str, str]
    policy: str
    kernel: int
    stride: int


@dataclass(frozen=True)
class FramePool:
    """3x3 pooling.

    Attributes:
        source: the value that is pooled.
        policy: name of the decisions over the result, or "" where it has those of its source.
        mode, stride, pad, ceil: see docs/operators.md.
    """

    source: str
    policy: str
    mode: str
    stride: int
    pad: int
    ceil: bool


@dataclass(frozen=True)
class Concatenation:
    """Channels of several values side by side."""

    parts: tuple[str, ...]


@dataclass
class FrameNetwork:
    """What can run on frames with channels innermost, from a stem to the last mean over space.

    Attributes:
        source: the value that the stem makes, or "" when there is no such network.
        steps: by the value that they make, in graph order.
        borders: pixels of zeros that the readers of a value need around its frames.
    """

    source: str = ""
    steps: dict[str, FrameConv | FramePool | Concatenation] = field(default_factory=dict)
    borders: dict[str, int] = field(default_factory=dict)

    @property
    def blocks(self) -> int:
        """How many inception blocks there are: each ends with a concatenation."""
        return sum(isinstance(step, Concatenation) for step in self.steps.values())

    def settle_scales(self, scales: dict[str, float]) -> None:
        """Give every value of a quantised network a scale, in place.

        A graph is quantised behind what only moves values: what is concatenated is stored in the
        scale of the result, and so is what is max-pooled.

        Args:
            scales: what an integer of one stands for, of the values that the graph quantises.

        Raises:
            InputError: a concatenation has parts of other scales than its own.
        """
        for value, step in reversed(self.steps.items()):
            if value not in scales:
                continue
            if isinstance(step, Concatenation):
                for part in step.parts:
                    if scales.setdefault(part, scales[value]) != scales[value]:
                        raise InputError(
                            f"{part} and {value}, which it is a part of, are quantised with "
                            "different scales; quantise with 'adafuse-deploy quantize'."
                        )
            elif isinstance(step, FramePool) and step.mode == "max":
                scales.setdefault(step.source, scales[value])
        for value, step in self.steps.items():
            if isinstance(step, FramePool) and step.mode == "max" and step.source in scales:
                scales.setdefault(value, scales[step.source])


def find_frame_network(index: GraphIndex, nodes: list[onnx.NodeProto]) -> FrameNetwork:
    """Return the inception network in a graph, or an empty one.

    It is found only as a whole: nothing but means over space may leave it.
    """
    search = _Search(index)
    for node in nodes:
        search.visit(node)
    network = search.network
    return network if network.blocks and search.closed(nodes) else FrameNetwork()


class _Search:
    def __init__(self, index: GraphIndex) -> None:
        self._index = index
        self.network = FrameNetwork()
        self._tensors: dict[str, int] = {}  # that a value's channels lie in
        self._inner: set[str] = set()  # values inside of steps

    def visit(self, node: onnx.NodeProto) -> None:
        """Add the step that ends with ``node``, if there is one."""
        output = node.output[0]
        if not self.network.source:
            if node.op_type == "MaxPool" and find_stem(self._index, output) is not None:
                self.network.source = output
                self._tensors[output] = 1
            return
        step = self._conv(node) or self._pool(node) or self._gate(node) or self._join(node)
        if step is None:
            return
        parts = step.parts if isinstance(step, Concatenation) else (step.source,)
        joins = not isinstance(step, FrameConv)
        self._tensors[output] = sum(self._tensors[part] for part in parts) if joins else 1
        self.network.steps[output] = step

    def closed(self, nodes: list[onnx.NodeProto]) -> bool:
        """Whether all readers belong to the network or take means; sets the borders."""
        steps, borders = self.network.steps, self.network.borders
        for value in reversed([self.network.source, *steps]):
            step = steps.get(value)
            if isinstance(step, FrameConv) and step.kernel == 3:
                borders[step.source] = 1
            for part in step.parts if isinstance(step, Concatenation) else ():
                borders[part] = max(borders.get(part, 0), borders.get(value, 0))
        sources = [step.source for step in steps.values() if isinstance(step, FrameConv)]
        within = {*steps, *self._inner}
        return max(self._tensors[value] for value in sources) <= _MOST_TENSORS and all(
            reader.output[0] in within or reader.op_type == "ReduceMean"
            for value in (self.network.source, *steps)
            for reader in self._index.readers(value)
        )

    def _conv(self, relu: onnx.NodeProto) -> FrameConv | None:
        if relu.op_type != "Relu":
            return None
        conv = self._index.producer(relu.input[0], "Conv", "GatedConv", "SkipConv")
        if (
            conv is None
            or conv.input[0] not in self._tensors
            or not only_read_by(self._index, relu.input[0], relu)
        ):
            return None
        kernel, stride = kernel_size(self._index, conv), conv_stride(conv)
        if kernel not in (1, 3) or stride is None:
            return None
        self._inner.add(conv.output[0])
        policy = conv.input[3] if conv.op_type == "GatedConv" else ""
        return FrameConv(conv.input[0], parameters(conv), policy, kernel, stride)

    def _pool(self, node: onnx.NodeProto) -> FramePool | None:
        if node.op_type not in ("MaxPool", "AveragePool") or node.input[0] not in self._tensors:
            return None
        mode = "max" if node.op_type == "MaxPool" else "mean"
        strides, pads = attribute(node, "strides", [1, 1]), attribute(node, "pads", [0] * 4)
        ceil = bool(attribute(node, "ceil_mode", 0))
        plain = (
            list(attribute(node, "kernel_shape")) == [3, 3]
            and list(attribute(node, "dilations", [1, 1])) == [1, 1]
            and list(strides) in ([1, 1], [2, 2])
            and list(pads) in ([0] * 4, [1] * 4)
            and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
            and (mode == "max" or (attribute(node, "count_include_pad", 0) == 1 and not ceil))
        )
        return FramePool(node.input[0], "", mode, strides[0], pads[0], ceil) if plain else None

    def _gate(self, node: onnx.NodeProto) -> FramePool | None:
        """Return pooling whose result is kept, reused or skipped: Where(keep, x, reuse-or-zero)."""
        keeps = self._choice(node, _KEEP)
        other = node.op_type == "Where" and self._index.producer(node.input[2], "Where")
        reuses = other and self._choice(other, _REUSE)
        if not keeps or not other or keeps != reuses:
            return None
        pool = self.network.steps.get(node.input[1])
        merge = self._index.producer(other.input[1], "Reshape")
        part = merge and find_part(self._index, merge.input[0])
        split = part and self._index.producer(part.source, "Reshape")
        if not isinstance(pool, FramePool) or not part or not split:
            return None
        whole = (part.first, part.last, part.frame) == (0, None, -1)
        if pool.policy or not whole or split.input[0] != node.input[1]:
            return None
        if self._index.number(other.input[2]) != 0:
            return None
        self._inner.update(split.output)
        return FramePool(pool.source, keeps, pool.mode, pool.stride, pool.pad, pool.ceil)

    def _choice(self, node: onnx.NodeProto, action: int) -> str | None:
        """Return the policy whose channels ``node`` chooses by ``action``."""
        equal = node.op_type == "Where" and self._index.producer(node.input[0], "Equal")
        if not equal or self._index.number(equal.input[1]) != action:
            return None
        spread = self._index.producer(equal.input[0], "Unsqueeze")
        flat = spread and self._index.producer(spread.input[0], "Reshape")
        return flat.input[0] if flat else None

    def _join(self, node: onnx.NodeProto) -> Concatenation | None:
        known = node.op_type == "Concat" and all(part in self._tensors for part in node.input)
        return Concatenation(tuple(node.input)) if known and attribute(node, "axis") == 1 else None

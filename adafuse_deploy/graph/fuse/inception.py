"""Recognising networks of gated convolutions, pooling and concatenation behind a stem."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from adafuse_deploy.core.actions import KEEP, REUSE
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.fuse.stem import find_stem
from adafuse_deploy.graph.fuse.temporal_shift import find_part
from adafuse_deploy.graph.layers import (
    Parameters,
    conv_stride,
    kernel_size,
    parameters,
    plainly_padded,
)
from adafuse_deploy.graph.values import attribute, given, number, only_read_by, producer

_MOST_TENSORS = 6


@dataclass(frozen=True)
class FrameConv:
    """A convolution with ReLU.

    Attributes:
        source: the value (N * T, C, H, W) that is convolved.
        weights: of the convolution.
        policy: over its outputs, or None.
        kernel: 1 or 3, padded by half.
        stride: along both axes.
    """

    source: ir.Value
    weights: Parameters
    policy: ir.Value | None
    kernel: int
    stride: int


@dataclass(frozen=True)
class FramePool:
    """3x3 pooling.

    Attributes:
        source: the value that is pooled.
        policy: over the result, or None where it has that of its source.
        mode, stride, pad, ceil: see docs/operators.md.
    """

    source: ir.Value
    policy: ir.Value | None
    mode: str
    stride: int
    pad: int
    ceil: bool


@dataclass(frozen=True)
class Concatenation:
    """Channels of several values side by side."""

    parts: tuple[ir.Value, ...]


Step = FrameConv | FramePool | Concatenation


@dataclass
class FrameNetwork:
    """What can run on frames with channels innermost, from a stem to the last mean over space.

    Attributes:
        source: the value that the stem makes, or None when there is no such network.
        steps: by the value that they make, in graph order.
        borders: pixels of zeros that the readers of a value need around its frames.
    """

    source: ir.Value | None = None
    steps: dict[ir.Value, Step] = field(default_factory=dict)
    borders: dict[ir.Value, int] = field(default_factory=dict)

    @property
    def blocks(self) -> int:
        """How many inception blocks there are: each ends with a concatenation."""
        return sum(isinstance(step, Concatenation) for step in self.steps.values())

    def settle_scales(self, scales: dict[ir.Value, float]) -> None:
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
                            f"{part.name} and {value.name}, which it is a part of, are quantised "
                            "with different scales; quantise with 'adafuse-deploy quantize'."
                        )
            elif isinstance(step, FramePool) and step.mode == "max":
                scales.setdefault(step.source, scales[value])
        for value, step in self.steps.items():
            if isinstance(step, FramePool) and step.mode == "max" and step.source in scales:
                scales.setdefault(value, scales[step.source])


def find_frame_network(graph: ir.Graph) -> FrameNetwork:
    """Return the inception network in a graph, or an empty one.

    It is found only as a whole: nothing but means over space may leave it.
    """
    search = _Search()
    for node in graph:
        search.visit(node)
    network = search.network
    return network if network.blocks and search.closed() else FrameNetwork()


class _Search:
    def __init__(self) -> None:
        self.network = FrameNetwork()
        self._tensors: dict[ir.Value, int] = {}  # that a value's channels lie in
        self._inner: set[ir.Value] = set()  # values inside of steps

    def visit(self, node: ir.Node) -> None:
        """Add the step that ends with ``node``, if there is one."""
        output = node.outputs[0]
        if self.network.source is None:
            if node.op_type == "MaxPool" and find_stem(output) is not None:
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

    def closed(self) -> bool:
        """Whether all readers belong to the network or take means; sets the borders."""
        source, steps, borders = self.network.source, self.network.steps, self.network.borders
        assert source is not None
        for value in reversed([source, *steps]):
            step = steps.get(value)
            if isinstance(step, FrameConv) and step.kernel == 3:
                borders[step.source] = 1
            for part in step.parts if isinstance(step, Concatenation) else ():
                borders[part] = max(borders.get(part, 0), borders.get(value, 0))
        convolved = [step.source for step in steps.values() if isinstance(step, FrameConv)]
        within = {*steps, *self._inner}
        return max(self._tensors[value] for value in convolved) <= _MOST_TENSORS and all(
            reader.outputs[0] in within or reader.op_type == "ReduceMean"
            for value in (source, *steps)
            for reader in value.consumers()
        )

    def _conv(self, relu: ir.Node) -> FrameConv | None:
        if relu.op_type != "Relu":
            return None
        conv = producer(relu.inputs[0], "Conv", "GatedConv", "SkipConv")
        if (
            conv is None
            or conv.inputs[0] not in self._tensors
            or not only_read_by(relu.inputs[0], relu)
        ):
            return None
        kernel, stride = kernel_size(conv), conv_stride(conv)
        if kernel not in (1, 3) or stride is None:
            return None
        self._inner.add(conv.outputs[0])
        policy = given(conv, 3) if conv.op_type == "GatedConv" else None
        return FrameConv(given(conv, 0), parameters(conv), policy, kernel, stride)

    def _pool(self, node: ir.Node) -> FramePool | None:
        if node.op_type not in ("MaxPool", "AveragePool") or node.inputs[0] not in self._tensors:
            return None
        mode = "max" if node.op_type == "MaxPool" else "mean"
        strides = list(attribute(node, "strides", [1, 1]))
        pads = list(attribute(node, "pads", [0] * 4))
        ceil = bool(attribute(node, "ceil_mode", 0))
        plain = (
            list(attribute(node, "kernel_shape")) == [3, 3]
            and strides in ([1, 1], [2, 2])
            and pads in ([0] * 4, [1] * 4)
            and plainly_padded(node)
            and (mode == "max" or (attribute(node, "count_include_pad", 0) == 1 and not ceil))
        )
        return FramePool(given(node, 0), None, mode, strides[0], pads[0], ceil) if plain else None

    def _gate(self, node: ir.Node) -> FramePool | None:
        """Return pooling whose result is kept, reused or skipped: Where(keep, x, reuse-or-zero)."""
        other = producer(node.inputs[2], "Where") if node.op_type == "Where" else None
        policy = _chosen(node, KEEP)
        if other is None or policy is None or _chosen(other, REUSE) is not policy:
            return None
        pooled = given(node, 1)
        pool = self.network.steps.get(pooled)
        merge = producer(other.inputs[1], "Reshape")
        part = merge and find_part(given(merge, 0))
        split = part and producer(part.source, "Reshape")
        if not isinstance(pool, FramePool) or not part or not split:
            return None
        whole = (part.first, part.last, part.frame) == (0, None, -1)
        if pool.policy is not None or not whole or split.inputs[0] is not pooled:
            return None
        if number(other.inputs[2]) != 0:
            return None
        self._inner.update(split.outputs)
        return FramePool(pool.source, policy, pool.mode, pool.stride, pool.pad, pool.ceil)

    def _join(self, node: ir.Node) -> Concatenation | None:
        if node.op_type != "Concat" or attribute(node, "axis") != 1:
            return None
        parts = tuple(given(node, index) for index in range(len(node.inputs)))
        return Concatenation(parts) if all(part in self._tensors for part in parts) else None


def _chosen(node: ir.Node, action: int) -> ir.Value | None:
    """Return the policy whose channels ``node`` chooses by ``action``."""
    equal = producer(node.inputs[0], "Equal") if node.op_type == "Where" else None
    if equal is None or number(equal.inputs[1]) != action:
        return None
    spread = producer(equal.inputs[0], "Unsqueeze")
    flat = spread and producer(spread.inputs[0], "Reshape")
    return flat.inputs[0] if flat else None

"""Recognising residual blocks in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from adafuse_deploy.graph.fuse.temporal_shift import Shift, find_shift
from adafuse_deploy.graph.layers import (
    Parameters,
    conv_stride,
    kernel_size,
    parameters,
)
from adafuse_deploy.graph.values import dims, given, only_read_by, producer

_PLAIN, _GATED, _SKIPPING = "Conv", "GatedConv", "SkipConv"
_STREAMING = "StreamGatedConv"


@dataclass(frozen=True)
class ResidualBlock:
    """A block that one fused operator can replace.

    Attributes:
        output: the block's result (N * T, C, H, W).
        inner: the values behind each convolution of the residual path but the last.
        shift: the block's input and its temporal shift.
        weights: of the two or three convolutions on the residual path.
        shortcut: those of the shortcut convolution, or None for an identity.
        policy: over the first convolution's outputs, or None where every channel is kept.
        stride: of the block.
        history: of a gated block in a stream graph, the state it reads: its input for the previous
            frame, the gated convolution's result, and what is missing of that.
        shifts_shortcut: whether a shortcut convolution reads the shifted input too.
    """

    output: ir.Value
    inner: tuple[ir.Value, ...]
    shift: Shift
    weights: tuple[Parameters, ...]
    shortcut: Parameters | None
    policy: ir.Value | None
    stride: int
    history: tuple[ir.Value, ...] = ()
    shifts_shortcut: bool = True

    @property
    def bottleneck(self) -> bool:
        """Whether there are three convolutions on the residual path, or two."""
        return len(self.weights) == 3

    @property
    def operator(self) -> str:
        """The fused operator."""
        kind = "Bottleneck" if self.bottleneck else "BasicBlock"
        return f"Stream{kind}" if self.history else f"Conditional{kind}"

    @property
    def feature_maps(self) -> list[ir.Value]:
        """What the operator reads, keeps inside and gives."""
        return [self.shift.source, *self.inner, self.output]

    @property
    def border(self) -> int:
        """Pixels of zeros around the frames that the fused operator reads and gives."""
        return 0 if self.bottleneck else 1


def find_blocks(graph: ir.Graph) -> list[ResidualBlock]:
    """Return the residual blocks in graph order."""
    found = (_find_block(node) for node in graph)
    return [block for block in found if block is not None]


def _find_block(node: ir.Node) -> ResidualBlock | None:
    """Return the block that ends with ``node``, or None.

    Blocks with a second gate are not found: they stay on the portable operators.
    """
    if node.op_type != "Relu":
        return None
    add = producer(node.inputs[0], "Add")
    if add is None or not only_read_by(node.inputs[0], node):
        return None
    first, second = given(add, 0), given(add, 1)
    for path, side in ((first, second), (second, first)):
        block = _match(node.outputs[0], add, path, side)
        if block is not None:
            return block
    return None


def _match(output: ir.Value, add: ir.Node, path: ir.Value, side: ir.Value) -> ResidualBlock | None:
    convs = _residual_path(path, add)
    if convs is None:
        return None
    gate, stride = _gate(convs[0], convs[1]), _stride(convs)
    if gate is None or stride is None:
        return None
    policy, history = gate
    first = convs[0]
    shift = find_shift(given(first, 0))
    shortcut: Parameters | None = None
    shifts_shortcut = True
    if side is not shift.source:
        project = producer(side, _PLAIN)
        if (
            project is None
            or project.inputs[0] not in (first.inputs[0], shift.source)
            or kernel_size(project) != 1
            or conv_stride(project) != stride
            or not only_read_by(side, add)
        ):
            return None
        shortcut = parameters(project)
        shifts_shortcut = project.inputs[0] is first.inputs[0]
    elif stride != 1:
        return None
    weights = tuple(parameters(conv) for conv in convs)
    layers = (*weights, shortcut) if shortcut else weights
    if any(value is not None and dims(value) is None for layer in layers for value in layer):
        return None
    inner = tuple(given(conv, 0) for conv in convs[1:])
    return ResidualBlock(
        output, inner, shift, weights, shortcut, policy, stride, history, shifts_shortcut
    )


def _gate(first: ir.Node, second: ir.Node) -> tuple[ir.Value | None, tuple[ir.Value, ...]] | None:
    """Return policy and history of a block's first two convolutions, or None if they do not fit."""
    promises = first.inputs[4:]
    if first.op_type == _GATED:
        policy = given(first, 3)
        fits = _reads_under(second, policy) and not any(promises)
        return (policy, ()) if fits else None
    if first.op_type == _STREAMING:
        policy = given(first, 3)
        history = tuple(given(first, index) for index in range(4, 7))
        fits = _reads_under(second, policy, streams=True) and not any(promises[3:])
        return (policy, history) if fits else None
    return (None, ()) if second.op_type == _PLAIN else None


def _stride(convs: list[ir.Node]) -> int | None:
    """Return the stride of the block that these convolutions are, or None if they are none."""
    kernels = [kernel_size(conv) for conv in convs]
    strides = [conv_stride(conv) for conv in convs]
    if len(convs) == 3 and kernels == [1, 3, 1] and strides[0] == strides[2] == 1:
        return strides[1]
    if len(convs) == 2 and kernels == [3, 3] and strides[1] == 1:
        return strides[0]
    return None


def _reads_under(conv: ir.Node, policy: ir.Value, *, streams: bool = False) -> bool:
    """Return whether a convolution reads what the gate of ``policy`` left.

    What a stream promises is the policy with every reuse as a keep, also where there is none.
    """
    if conv.op_type != _SKIPPING:
        return False
    where = producer(conv.inputs[3], "Where")
    promises = where is not None and where.inputs[2] is policy
    return promises or (not streams and conv.inputs[3] is policy)


def _residual_path(value: ir.Value, reader: ir.Node) -> list[ir.Node] | None:
    """Return the two or three convolutions that lead to ``value`` with ReLU between them."""
    convs: list[ir.Node] = []
    while len(convs) < 3:
        conv = producer(value, _PLAIN, _GATED, _SKIPPING, _STREAMING)
        if conv is None or not only_read_by(value, reader):
            return None
        convs.insert(0, conv)
        relu = producer(conv.inputs[0], "Relu")
        complete = len(convs) == 3 or (
            len(convs) == 2 and kernel_size(conv) == 3 == kernel_size(convs[1])
        )
        if complete or relu is None or not only_read_by(relu.outputs[0], conv):
            break
        value, reader = given(relu, 0), relu
    return convs if len(convs) >= 2 else None

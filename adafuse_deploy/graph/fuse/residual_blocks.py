"""Recognising residual blocks in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from adafuse_deploy.graph.fuse.temporal_shift import Shift, find_shift
from adafuse_deploy.graph.index import GraphIndex, attribute

_PLAIN, _GATED, _SKIPPING = "Conv", "GatedConv", "SkipConv"
_STREAMING = "StreamGatedConv"


@dataclass(frozen=True)
class ResidualBlock:
    """A block that one fused operator can replace.

    Attributes:
        output: name of the block's result (N * T, C, H, W).
        inner: the values behind each convolution of the residual path but the last.
        shift: the block's input and its temporal shift.
        weights: names of weight and bias ("" for none) of the convolutions on the residual path.
        shortcut: those of the shortcut convolution, or empty for an identity.
        policy: name of the policy, or "" where every channel is kept.
        stride: of the block.
        history: of a gated block in a stream graph, the names of the state it reads: its input for
            the previous frame, the gated convolution's result, and what is missing of that.
        shifts_shortcut: whether a shortcut convolution reads the shifted input too.
    """

    output: str
    inner: tuple[str, ...]
    shift: Shift
    weights: tuple[str, ...]
    shortcut: tuple[str, ...]
    policy: str
    stride: int
    history: tuple[str, ...] = ()
    shifts_shortcut: bool = True

    @property
    def bottleneck(self) -> bool:
        """Whether there are three convolutions on the residual path, or two."""
        return len(self.weights) == 6

    @property
    def operator(self) -> str:
        """The fused operator."""
        kind = "Bottleneck" if self.bottleneck else "BasicBlock"
        return f"Stream{kind}" if self.history else f"Conditional{kind}"

    @property
    def feature_maps(self) -> list[str]:
        """What the operator reads, keeps inside and gives."""
        return [self.shift.source, *self.inner, self.output]

    @property
    def border(self) -> int:
        """Pixels of zeros around the frames that the fused operator reads and gives."""
        return 0 if self.bottleneck else 1


def find_block(index: GraphIndex, node: onnx.NodeProto) -> ResidualBlock | None:
    """Return the block that ends with ``node``, or None.

    Blocks with a second gate are not found: they stay on the portable operators.
    """
    if node.op_type != "Relu":
        return None
    add = index.producer(node.input[0], "Add")
    if add is None or not only_read_by(index, node.input[0], node):
        return None
    for path, side in (add.input, reversed(add.input)):
        block = _match(index, node.output[0], add, path, side)
        if block is not None:
            return block
    return None


def _match(
    index: GraphIndex, output: str, add: onnx.NodeProto, path: str, side: str
) -> ResidualBlock | None:
    convs = _residual_path(index, path, add)
    if convs is None:
        return None
    first, second = convs[0], convs[1]
    history: tuple[str, ...] = ()
    if first.op_type == _GATED:
        policy = first.input[3]
        if not _reads_under(index, second, policy) or any(first.input[4:]):
            return None
    elif first.op_type == _STREAMING:
        policy, history = first.input[3], tuple(first.input[4:7])
        if not _reads_under(index, second, policy, history) or any(first.input[7:]):
            return None
    elif second.op_type == _PLAIN:
        policy = ""
    else:
        return None
    kernels = [kernel_size(index, conv) for conv in convs]
    strides = [conv_stride(conv) for conv in convs]
    if len(convs) == 3 and kernels == [1, 3, 1] and strides[0] == strides[2] == 1:
        stride = strides[1]
    elif len(convs) == 2 and kernels == [3, 3] and strides[1] == 1:
        stride = strides[0]
    else:
        return None
    shift = find_shift(index, first.input[0])
    shortcut: tuple[str, ...] = ()
    shifts_shortcut = True
    if side != shift.source:
        project = index.producer(side, _PLAIN)
        if (
            project is None
            or project.input[0] not in (first.input[0], shift.source)
            or kernel_size(index, project) != 1
            or conv_stride(project) != stride
            or not only_read_by(index, side, add)
        ):
            return None
        shortcut = parameters(project)
        shifts_shortcut = project.input[0] == first.input[0]
    elif stride != 1:
        return None
    weights = tuple(name for conv in convs for name in parameters(conv))
    variable = any(name and index.dims(name) is None for name in (*weights, *shortcut))
    if variable or stride is None:
        return None
    inner = tuple(conv.input[0] for conv in convs[1:])
    return ResidualBlock(
        output, inner, shift, weights, shortcut, policy, stride, history, shifts_shortcut
    )


def _reads_under(
    index: GraphIndex, conv: onnx.NodeProto, policy: str, history: tuple[str, ...] = ()
) -> bool:
    """Return whether a convolution reads what the gate of ``policy`` left.

    What a stream promises is the policy with every reuse as a keep, also where there is none.
    """
    if conv.op_type != _SKIPPING:
        return False
    where = index.producer(conv.input[3], "Where")
    promises = where is not None and where.input[2] == policy
    return promises or (not history and conv.input[3] == policy)


def _residual_path(
    index: GraphIndex, value: str, reader: onnx.NodeProto
) -> list[onnx.NodeProto] | None:
    """Return the two or three convolutions that lead to ``value`` with ReLU between them."""
    convs: list[onnx.NodeProto] = []
    while len(convs) < 3:
        conv = index.producer(value, _PLAIN, _GATED, _SKIPPING, _STREAMING)
        if conv is None or not only_read_by(index, value, reader):
            return None
        convs.insert(0, conv)
        relu = index.producer(conv.input[0], "Relu")
        complete = len(convs) == 3 or (
            len(convs) == 2 and kernel_size(index, conv) == 3 == kernel_size(index, convs[1])
        )
        if complete or relu is None or not only_read_by(index, relu.output[0], conv):
            break
        value, reader = relu.input[0], relu
    return convs if len(convs) >= 2 else None


def parameters(conv: onnx.NodeProto) -> tuple[str, str]:
    """Return weight and bias; exporters leave out a bias of zeros."""
    return conv.input[1], conv.input[2] if len(conv.input) > 2 else ""


def only_read_by(index: GraphIndex, value: str, node: onnx.NodeProto) -> bool:
    return index.readers(value) == [node]


def kernel_size(index: GraphIndex, conv: onnx.NodeProto) -> int | None:
    """Return the size of a square kernel padded by half of it, or None."""
    dims = index.dims(conv.input[1])
    if dims is None or len(dims) != 4 or dims[2] != dims[3]:
        return None
    size = dims[2]
    plain = (
        attribute(conv, "group", 1) == 1
        and list(attribute(conv, "dilations", [1, 1])) == [1, 1]
        and attribute(conv, "auto_pad", b"NOTSET") == b"NOTSET"
        and list(attribute(conv, "pads", [0] * 4)) == [size // 2] * 4
    )
    return size if plain else None


def conv_stride(conv: onnx.NodeProto) -> int | None:
    """Return the stride if it is the same along both axes."""
    strides = set(attribute(conv, "strides", [1, 1]))
    return strides.pop() if len(strides) == 1 else None

"""Half precision written into the graph, which is where TensorRT 11 and TensorRT for RTX look.

Feature maps and convolutions become float16 or bfloat16.  What follows a spatial pooling stays
float32: the policy networks up to their argmax, because a rounded logit flips a decision and with
it every later layer, and the classifier.  Both are small.
"""

from __future__ import annotations

from collections.abc import Iterator

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.new_nodes import add_constant, drop_unused_constants, make_node

_POOLING = ("ReduceMean", "ReduceMax", "GlobalAveragePool")
_SINGLE = ir.DataType.FLOAT

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
"""Precisions of two bytes, and what ONNX calls them."""

_BF16_OPSET = 22
"""The first in which convolutions and pooling take bfloat16; nothing else of ours changed since."""


def to_half(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Return the graph with feature maps in half precision; inputs and outputs keep their types.

    Args:
        model: a graph in standard operators, see :func:`adafuse_deploy.graph.read.inlined`, and
            those of our domain.
        precision: "fp16" or "bf16".

    Raises:
        InputError: a weight is too large for that precision.
    """
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    result = ir.from_proto(typed)
    graph = result.graph
    exact = set(_after_pooling(graph))
    conversion = _Conversion(graph, precision)
    if precision == "bf16":
        graph.opset_imports[""] = max(graph.opset_imports[""], _BF16_OPSET)
    nodes = list(graph)
    for node in nodes:
        conversion.convert(node, half=node not in exact)
    inside = {value for node in nodes for value in node.outputs} - set(graph.outputs)
    for value in inside:
        value.type = value.shape = None
    drop_unused_constants(graph)
    return ir.to_proto(result)


class _Conversion:
    """Converts one node after another, with casts where precision changes."""

    def __init__(self, graph: ir.Graph, precision: str) -> None:
        self._graph = graph
        self._precision = precision
        self._half = HALVES[precision]
        self._converted: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def convert(self, node: ir.Node, *, half: bool) -> None:
        """Let ``node`` compute in half precision if ``half``, else in float32."""
        wanted, other = (self._half, _SINGLE) if half else (_SINGLE, self._half)
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype == other:
                node.replace_input_with(index, self._cast(value, wanted, node))
        for value in node.outputs:
            if value.dtype == other:
                value.dtype = wanted
        for name, attribute in list(node.attributes.items()) if half else ():
            if attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype == _SINGLE:
                tensor = ir.tensor(self._rounded(attribute.value), name=attribute.value.name)
                node.attributes[name] = ir.AttrTensor(name, tensor)
            elif node.op_type == "Cast" and name == "to" and attribute.value == _SINGLE:
                node.attributes[name] = ir.AttrInt64(name, self._half)

    def _cast(self, value: ir.Value, wanted: ir.DataType, reader: ir.Node) -> ir.Value:
        """Return a value in the wanted type, made at its first use."""
        if (value, wanted) not in self._converted:
            name = f"{value.name}_{'half' if wanted == self._half else 'single'}"
            if value.is_initializer():
                assert value.const_value is not None
                made = add_constant(self._graph, name, self._rounded(value.const_value))
            else:
                cast = make_node("Cast", [value], [name], to=int(wanted))
                self._graph.insert_before(reader, cast)
                made = cast.outputs[0]
            self._converted[value, wanted] = made
        return self._converted[value, wanted]

    def _rounded(self, tensor: ir.TensorProtocol) -> np.ndarray:
        """Return float32 values in half precision, rounded to nearest even."""
        kind = np.float16 if self._precision == "fp16" else ml_dtypes.bfloat16
        values = tensor.numpy()
        finite = np.abs(values, where=np.isfinite(values), out=np.zeros_like(values))
        if finite.max(initial=0) > float(ml_dtypes.finfo(kind).max):
            raise InputError(
                f"The weight {tensor.name} reaches beyond {self._precision}; build in another "
                "precision."
            )
        rounded: np.ndarray = values.astype(kind)
        return rounded


def _after_pooling(graph: ir.Graph) -> Iterator[ir.Node]:
    """Yield the nodes between a pooling of feature maps, included, and the outputs."""
    pending: list[ir.Value | None] = list(graph.outputs)
    seen: set[ir.Node] = set()
    while pending:
        value = pending.pop()
        node = None if value is None else value.producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        # The other mean is the consensus over frames, of rank 3.
        source = node.inputs[0]
        maps = source is not None and source.shape is not None and len(source.shape) == 4
        if not (node.op_type in _POOLING and maps):
            pending.extend(node.inputs)

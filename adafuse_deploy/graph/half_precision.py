"""Half precision written into the graph, which is where TensorRT 11 and TensorRT for RTX look.

Feature maps and convolutions become float16 or bfloat16.  What follows a spatial pooling stays
float32: the policy networks up to their argmax, because a rounded logit flips a decision and with
it every later layer, and the classifier.  Both are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.read import drop_unused_weights

if TYPE_CHECKING:
    import onnx

_POOLING = ("ReduceMean", "ReduceMax", "GlobalAveragePool")


HALVES = {"fp16": "FLOAT16", "bf16": "BFLOAT16"}
"""Precisions of two bytes, and what ONNX calls them."""

_LARGEST = {"fp16": 65504.0, "bf16": 3.3895314e38}
_BF16_OPSET = 22
"""The first in which convolutions and pooling take bfloat16; nothing else of ours changed since."""


def to_half(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Return the graph with feature maps in half precision; inputs and outputs keep their types.

    Args:
        model: a graph in standard operators, see :func:`adafuse_deploy.graph.read.inlined`.
        precision: "fp16" or "bf16".

    Raises:
        InputError: a weight is too large for that precision.
    """
    import onnx

    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = typed.graph
    exact = {node.output[0] for node in _after_pooling(graph)}
    conversion = _Conversion(graph, precision)
    if precision == "bf16":
        (opset,) = typed.opset_import
        opset.version = max(opset.version, _BF16_OPSET)
    for node in graph.node:
        conversion.add(node, half=node.output[0] not in exact)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(conversion.nodes)
    graph.initializer.extend(conversion.weights)
    drop_unused_weights(graph)
    return typed


class _Conversion:
    """The nodes of a graph rewritten one after another, with casts where precision changes."""

    def __init__(self, graph: onnx.GraphProto, precision: str) -> None:
        import onnx

        self._precision = precision
        self._single = onnx.TensorProto.FLOAT
        self._half = onnx.TensorProto.DataType.Value(HALVES[precision])
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        # What each value is now: float32 values of the old graph turn half on the way.
        self._types = {tensor.name: tensor.data_type for tensor in graph.initializer}
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._types[value.name] = value.type.tensor_type.elem_type
        self._converted: dict[tuple[str, int], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, node: onnx.NodeProto, *, half: bool) -> None:
        """Append ``node``, computing in half precision if ``half``, else in float32."""
        wanted, other = (self._half, self._single) if half else (self._single, self._half)
        for index, name in enumerate(node.input):
            if self._types.get(name) == other:
                node.input[index] = self._cast(name, wanted)
        for name in node.output:
            if self._types.get(name) == other:
                self._types[name] = wanted
        for attribute in node.attribute if half else ():
            if attribute.t.data_type == self._single:
                attribute.t.CopyFrom(self._weight(attribute.t, attribute.t.name))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == self._single:
                attribute.i = self._half
        self.nodes.append(node)

    def _cast(self, name: str, wanted: int) -> str:
        """Return the name of a value in the wanted type, made at its first use."""
        import onnx

        if (name, wanted) not in self._converted:
            converted = f"{name}_{'half' if wanted == self._half else 'single'}"
            self._converted[name, wanted] = converted
            if name in self._initializers:
                self.weights.append(self._weight(self._initializers[name], converted))
            else:
                self.nodes.append(
                    onnx.helper.make_node("Cast", [name], [converted], converted, to=wanted)
                )
        return self._converted[name, wanted]

    def _weight(self, tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
        import onnx
        from onnx import numpy_helper

        values = numpy_helper.to_array(tensor)
        finite = np.abs(values, where=np.isfinite(values), out=np.zeros_like(values))
        if finite.max(initial=0) > _LARGEST[self._precision]:
            raise InputError(
                f"The weight {tensor.name} reaches beyond {self._precision}; build in another "
                "precision."
            )
        content = _rounded(values, self._precision).tobytes()
        return onnx.helper.make_tensor(name, self._half, values.shape, content, raw=True)


def _rounded(values: np.ndarray, precision: str) -> np.ndarray:
    """Return float32 values as half-precision numbers of two bytes, rounded to nearest even."""
    if precision == "fp16":
        return values.astype(np.float16)
    bits = values.view(np.uint32)
    return (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16)


def _after_pooling(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes between a pooling of feature maps, included, and the outputs."""
    producers = {name: node for node in graph.node for name in node.output}
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.output)
    }
    pending = [value.name for value in graph.output]
    seen: set[str] = set()
    while pending:
        node = producers.get(pending.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        yield node
        # The other mean is the consensus over frames, of rank 3.
        if not (node.op_type in _POOLING and ranks[node.input[0]] == 4):
            pending.extend(node.input)

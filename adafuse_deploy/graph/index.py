"""Questions that graph rewriting asks: who makes a value, who reads it, what is constant."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import onnx


class GraphIndex:
    """Producers, readers and constants of a graph that is not changed meanwhile."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._producers = {name: node for node in graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes = {
            value.name: value.type.tensor_type.shape
            for value in (*graph.value_info, *graph.input, *graph.output)
        }
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._readers[name].append(node)

    def producer(self, value: str, *kinds: str) -> onnx.NodeProto | None:
        """Return the node that makes ``value`` if it is of one of the operators ``kinds``."""
        node = self._producers.get(value)
        return node if node is not None and node.op_type in kinds else None

    def readers(self, value: str) -> list[onnx.NodeProto]:
        """Return the nodes that read ``value``, in graph order."""
        return self._readers[value]

    def dims(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a constant, or None for any other value."""
        tensor = self._constants.get(name)
        return None if tensor is None else tuple(tensor.dims)

    def plane(self, name: str) -> tuple[int, int] | None:
        """Return height and width of feature maps (rows, C, H, W), or None where they vary."""
        dims = self._shapes[name].dim if name in self._shapes else ()
        sizes = tuple(dim.dim_value for dim in dims[2:])
        return sizes if len(sizes) == 2 and all(sizes) else None

    def values(self, name: str) -> np.ndarray:
        """Return a constant."""
        values: np.ndarray = onnx.numpy_helper.to_array(self._constants[name])
        return values

    def ints(self, name: str) -> list[int] | None:
        """Return a constant vector of integers, or None for any other value."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.INT64:
            return None
        values: np.ndarray = onnx.numpy_helper.to_array(tensor)
        return [int(value) for value in values.reshape(-1)]

    def number(self, name: str) -> float | None:
        """Return a constant of one number, or None for any other value."""
        tensor = self._constants.get(name)
        values = None if tensor is None else onnx.numpy_helper.to_array(tensor)
        return None if values is None or values.size != 1 else float(values.reshape(()))


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return an attribute's value."""
    for entry in node.attribute:
        if entry.name == name:
            return onnx.helper.get_attribute_value(entry)
    return default

"""Questions about a value of a graph: who makes it, who reads it, which constant it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir


def producer(value: ir.Value | None, *kinds: str) -> ir.Node | None:
    """Return the node that makes ``value`` if it is of one of the operators ``kinds``."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type in kinds else None


def given(node: ir.Node, index: int) -> ir.Value:
    """Return an input that the operator cannot do without."""
    value = node.inputs[index]
    assert value is not None, f"{node.op_type} {node.name} lacks input {index}"
    return value


def optional(node: ir.Node, index: int) -> ir.Value | None:
    """Return an input that may be left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def only_read_by(value: ir.Value | None, node: ir.Node) -> bool:
    """Whether ``node`` and no other reads ``value``."""
    return value is not None and tuple(value.consumers()) == (node,)


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """Return an attribute's value; of several numbers a tuple."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def constant(value: ir.Value) -> np.ndarray:
    """Return what a constant holds."""
    assert value.const_value is not None, f"{value.name} is no constant"
    return value.const_value.numpy()


def dims(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the shape of a constant, or None for any other value."""
    if value is None or value.const_value is None:
        return None
    return tuple(value.const_value.shape.numpy())


def plane(value: ir.Value) -> tuple[int, int] | None:
    """Return height and width of feature maps (rows, C, H, W), or None where they vary."""
    sizes = () if value.shape is None else tuple(value.shape)[2:]
    return sizes if len(sizes) == 2 and all(isinstance(size, int) for size in sizes) else None  # type: ignore[return-value]


def ints(value: ir.Value | None) -> list[int] | None:
    """Return a constant vector of integers, or None for any other value."""
    if value is None or value.const_value is None or value.dtype != ir.DataType.INT64:
        return None
    return [int(number) for number in constant(value).reshape(-1)]


def number(value: ir.Value | None) -> float | None:
    """Return a constant of one number, or None for any other value."""
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return float(constant(value).reshape(()))

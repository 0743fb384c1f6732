"""Graphs in which one attribute or one input of one node is not what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from adafuse_deploy.ops.operator_schemas import DOMAIN

INT32_MAX, INT64_MAX, INT64_MIN = 2**31 - 1, 2**63 - 1, -(2**63)
_INTEGERS = (0, -1, INT32_MAX, INT64_MAX, INT64_MIN)
_NUMBERS = (0.0, -1.0, float("nan"), float("inf"))
_WORDS = ("", "fp16", "a long word that is none of those", "int8", "fp32")


@dataclass(frozen=True)
class Mutation:
    """A graph that differs from a good one in one place.

    Attributes:
        operator: of the node.
        what: the attribute, or the input by its number.
        change: what became of it.
        model: the graph.
        feeds: what it is run with.
        value: the attribute or the tensor as it is now, or None where it is missing.
    """

    operator: str
    what: str
    change: str
    model: bytes
    feeds: dict[str, np.ndarray]
    value: Any

    def __str__(self) -> str:
        return f"{self.operator} {self.what} {self.change}"


def nodes_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the first and the last node of each of our operators."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.domain == DOMAIN:
            found.setdefault(node.op_type, []).append(node)
    return [
        node
        for nodes in found.values()
        for node in dict((n.name, n) for n in (nodes[0], nodes[-1])).values()
    ]


def mutate_attributes(
    model: onnx.ModelProto, node: onnx.NodeProto, feeds: dict[str, np.ndarray]
) -> Iterator[Mutation]:
    """Yield graphs with another value of one of the node's attributes, or none."""
    for entry in node.attribute:
        good = helper.get_attribute_value(entry)
        for value in _other_values(good):
            copy, place = _copy(model, node)
            kept = [other for other in place.attribute if other.name != entry.name]
            del place.attribute[:]
            place.attribute.extend(kept)
            if value is not None:
                kind = onnx.AttributeProto.INTS if value == [] and good else None
                place.attribute.append(helper.make_attribute(entry.name, value, attr_type=kind))
            change = "is missing" if value is None else f"= {value!r}"
            yield Mutation(node.op_type, entry.name, change, copy.SerializeToString(), feeds, value)


def mutate_inputs(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    feeds: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
) -> Iterator[Mutation]:
    """Yield graphs in which the node reads another tensor, or none, in place of one of its inputs.

    Args:
        model: a good graph.
        node: one of its nodes.
        feeds: what it runs with.
        values: what the node's inputs are then.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    for position, name in enumerate(node.input):
        if not name:
            continue
        what = f"input {position}"
        copy, place = _copy(model, node)
        place.input[position] = ""
        yield Mutation(node.op_type, what, "is missing", copy.SerializeToString(), feeds, None)
        if name in constants:
            yield _fed(model, node, position, feeds, values[name], "is no constant")
        for change, value in _other_tensors(values[name]):
            yield _constant(model, node, position, feeds, value, change)
            if name not in constants:
                yield _fed(model, node, position, feeds, value, f"{change}, when it runs")


def intermediate_values(
    model: onnx.ModelProto, node: onnx.NodeProto, feeds: dict[str, np.ndarray], run: Any
) -> dict[str, np.ndarray]:
    """Return what a node's inputs are; ``run`` runs a serialised graph with feeds."""
    values = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name in node.input
    }
    values.update({name: value for name, value in feeds.items() if name in node.input})
    wanted = [name for name in node.input if name and name not in values]
    if wanted:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.output[:]
        for name in wanted:
            kind = onnx.TensorProto.INT32 if _is_policy(copy, name) else onnx.TensorProto.FLOAT
            copy.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        outcome = run(copy.SerializeToString(), feeds)
        assert outcome.kind == "ran", outcome.message
        values.update(zip(wanted, outcome.outputs, strict=True))
    return values


def _is_policy(model: onnx.ModelProto, name: str) -> bool:
    made = next((node for node in model.graph.node if name in node.output), None)
    if made is not None and made.op_type in ("Slice", "Identity", "Reshape"):
        return _is_policy(model, made.input[0])
    return made is not None and made.op_type in ("PolicyNetwork", "Cast")


def _other_values(good: Any) -> Iterator[Any]:
    """Yield other values of an attribute, of its type and of others; None for none."""
    yield None
    if isinstance(good, int):
        yield from _INTEGERS
        yield from (1.5, "1", [good, good])
    elif isinstance(good, bytes):
        yield from (word for word in _WORDS if word.encode() != good)
        yield 1
    else:
        numbers = _NUMBERS if good and isinstance(good[0], float) else _INTEGERS
        for position in range(len(good)):
            for number in numbers:
                yield [*good[:position], number, *good[position + 1 :]]
        yield from ([], list(good[:-1]), [*good, good[-1]], 1, "1")


def _other_tensors(good: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield tensors of other sizes, ranks, types and, of policies, with other values."""
    for axis in range(good.ndim):
        yield f"ends sooner on axis {axis}", np.delete(good, -1, axis)
        yield f"has nothing on axis {axis}", np.take(good, [], axis)
        yield f"ends later on axis {axis}", np.concatenate([good, np.take(good, [0], axis)], axis)
    if good.ndim > 1:
        yield "has fewer axes", good.reshape(-1, good.shape[-1])[:, 0]
        yield "is turned round", np.ascontiguousarray(good.T)
    yield "has more axes", good[None]
    yield "has no axes", good.reshape(-1)[:1].reshape(())
    if good.ndim > 1:
        shape = [0, *good.shape[1:]]
        yield "has no rows of great length", np.zeros([0, 2**40, *shape[2:]], good.dtype)
    if good.dtype == np.int32:
        for value in (3, -1, INT32_MAX, -INT32_MAX - 1):
            changed = good.copy()
            changed.reshape(-1)[-1:] = value
            yield f"ends with {value}", changed
        if good.ndim == 3:
            clips, frames, channels = good.shape
            yield "has other clips", good.reshape(clips * frames, 1, channels)
            yield "has one clip", good.reshape(1, clips * frames, channels)
    for kind in (np.float64, np.int64, np.uint8):
        yield f"is {np.dtype(kind).name}", np.nan_to_num(good).astype(kind)


def _copy(model: onnx.ModelProto, node: onnx.NodeProto) -> tuple[onnx.ModelProto, onnx.NodeProto]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy, next(other for other in copy.graph.node if other.name == node.name)


def _constant(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    position: int,
    feeds: dict[str, np.ndarray],
    value: np.ndarray,
    change: str,
) -> Mutation:
    copy, place = _copy(model, node)
    place.input[position] = "mutated"
    copy.graph.initializer.append(numpy_helper.from_array(value, "mutated"))
    what = f"input {position}"
    return Mutation(node.op_type, what, change, copy.SerializeToString(), feeds, value)


def _fed(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    position: int,
    feeds: dict[str, np.ndarray],
    value: np.ndarray,
    change: str,
) -> Mutation:
    copy, place = _copy(model, node)
    place.input[position] = "mutated"
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    copy.graph.input.append(helper.make_tensor_value_info("mutated", kind, None))
    feeds = {**feeds, "mutated": value}
    what = f"input {position}"
    return Mutation(node.op_type, what, change, copy.SerializeToString(), feeds, value)

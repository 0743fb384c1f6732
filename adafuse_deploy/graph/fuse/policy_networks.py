"""Recognising policy networks in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.graph.fuse.residual_blocks import only_read_by
from adafuse_deploy.graph.index import GraphIndex, attribute


@dataclass(frozen=True)
class PolicyNetwork:
    """A policy network that one fused operator can replace.

    Attributes:
        previous: name of the pooled features (N * T, F) of the frames before, or "" for a network
            that reads none.
        features: name of those of the frames.
        first, second: names of weight and bias ("" for none) of both linear layers.
        actions: what the logits of a channel stand for, in their order.
        relu: whether ReLU stands between the layers.
    """

    previous: str
    features: str
    first: tuple[str, str]
    second: tuple[str, str]
    actions: tuple[int, ...] = (KEEP, REUSE, SKIP)
    relu: bool = True

    def attributes(self, frames: int) -> dict[str, Any]:
        """Return the operator's attributes; T is ``frames``.

        What is usual is left out: operator libraries that know nothing else run such graphs.
        """
        attributes: dict[str, Any] = {"frames": frames}
        if self.actions != (KEEP, REUSE, SKIP):
            attributes["actions"] = list(self.actions)
        if not self.relu:
            attributes["relu"] = 0
        return attributes


def find_policy_network(
    index: GraphIndex, node: onnx.NodeProto, frames: int
) -> PolicyNetwork | None:
    """Return the network whose decisions (N, T, C) ``node`` gives, or None; T is ``frames``."""
    cast, step = _numbering(index, node)
    if cast is None or attribute(cast, "to") != onnx.TensorProto.INT32:
        return None
    path = [cast]
    for kind in ("ArgMax", "Reshape", "Gemm"):
        above = index.producer(path[-1].input[0], kind)
        if above is None or not only_read_by(index, above.output[0], path[-1]):
            return None
        path.append(above)
    _, argmax, reshape, second = path
    relu = _above(index, second, "Relu")
    first = _above(index, relu or second, "Gemm")
    if first is None:
        return None
    before, behind = _linear(index, first), _linear(index, second)
    logits = index.dims(second.input[1]) or (0,)
    shape = index.ints(reshape.input[1]) or [0]
    choices = shape[-1]
    if (
        before is None
        or behind is None
        or choices not in (2, 3)
        or (choices == 3 and step != 1)
        or shape != [-1, frames, logits[0] // choices, choices]
        or attribute(argmax, "axis", 0) != -1
        or attribute(argmax, "keepdims", 1) != 0
        or attribute(argmax, "select_last_index", 0) != 0
    ):
        return None
    previous, features = _features(index, first)
    actions = tuple(step * choice for choice in range(choices))
    return PolicyNetwork(previous, features, before, behind, actions, relu is not None)


def _numbering(index: GraphIndex, node: onnx.NodeProto) -> tuple[onnx.NodeProto | None, int]:
    """Return the Cast behind the decisions and what number the second choice has, 1 or 2.

    A gate that keeps or skips multiplies its choices by SKIP.
    """
    if node.op_type == "Cast":
        readers = index.readers(node.output[0])
        multiplied = len(readers) == 1 and _numbering(index, readers[0])[0] is node
        return (None if multiplied else node), 1
    if node.op_type == "Mul" and any(index.number(name) == SKIP for name in node.input):
        cast = _above(index, node, "Cast")
        return cast, SKIP
    return None, 1


def _above(index: GraphIndex, node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
    """Return the node of this kind that one of ``node``'s inputs comes from, for it alone."""
    for name in node.input:
        above = index.producer(name, kind)
        if above is not None and only_read_by(index, name, node):
            return above
    return None


def _linear(index: GraphIndex, gemm: onnx.NodeProto) -> tuple[str, str] | None:
    """Return weight and bias ("" for none) of a linear layer, or None if it is something else."""
    dims = index.dims(gemm.input[1])
    plain = [attribute(gemm, "transA", 0), attribute(gemm, "transB", 0)] == [0, 1] and {
        attribute(gemm, "alpha", 1.0),
        attribute(gemm, "beta", 1.0),
    } == {1.0}
    bias = gemm.input[2] if len(gemm.input) > 2 else ""
    constant = dims is not None and (not bias or index.dims(bias) == dims[:1])
    return (gemm.input[1], bias) if plain and constant else None


def _features(index: GraphIndex, first: onnx.NodeProto) -> tuple[str, str]:
    """Return the features that the first layer reads: the previous ("" for none), the frame's."""
    concat = _above(index, first, "Concat")
    if concat is None or attribute(concat, "axis") not in (-1, 1) or len(concat.input) != 2:
        return "", first.input[0]
    return concat.input[0], concat.input[1]


class SharedRows:
    """Matrices of which some are others with every row multiplied by a factor.

    Policy networks that share a linear layer have normalisations of their own, which are merged
    into it.  Undone, the layer is one again, and stays in the processor's cache between them.
    """

    def __init__(self) -> None:
        self._matrices: dict[str, np.ndarray] = {}

    def find(self, name: str, matrix: np.ndarray) -> tuple[str, np.ndarray]:
        """Return an earlier matrix, or ``name``, and the factors (rows,) that make this one of it.

        Args:
            name: of the matrix.
            matrix: float32 (rows, columns).
        """
        for known, other in self._matrices.items():
            if other.shape == matrix.shape:
                squares = np.einsum("ij,ij->i", other, other, dtype=np.float64)
                products = np.einsum("ij,ij->i", other, matrix, dtype=np.float64)
                factors = np.divide(products, squares, out=products, where=squares > 0)
                # Both were rounded to float32 after the multiplication.
                most = np.abs(matrix).max(1, keepdims=True)
                if (np.abs(matrix - factors[:, None] * other) <= 2e-7 * most).all():
                    return known, factors.astype(np.float32)
        self._matrices[name] = matrix
        return name, np.ones(len(matrix), np.float32)

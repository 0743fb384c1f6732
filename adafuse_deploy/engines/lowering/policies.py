"""Recognising policy networks in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from adafuse_deploy.engines.lowering.blocks import only_read_by
from adafuse_deploy.engines.lowering.index import GraphIndex, attribute

ACTIONS = 3


@dataclass(frozen=True)
class PolicyNetwork:
    """A policy network that one fused operator can replace.

    Attributes:
        previous, features: names of the pooled features (N * T, F) of both frames.
        first, second: names of weight and bias ("" for none) of both linear layers.
    """

    previous: str
    features: str
    first: tuple[str, str]
    second: tuple[str, str]


def find_policy_network(
    index: GraphIndex, node: onnx.NodeProto, frames: int
) -> PolicyNetwork | None:
    """Return the network whose decisions (N, T, C) ``node`` gives, or None; T is ``frames``."""
    if node.op_type != "Cast" or attribute(node, "to") != onnx.TensorProto.INT32:
        return None
    path = [node]
    for kind in ("ArgMax", "Reshape", "Gemm", "Relu", "Gemm", "Concat"):
        above = index.producer(path[-1].input[0], kind)
        if above is None or not only_read_by(index, above.output[0], path[-1]):
            return None
        path.append(above)
    _, argmax, reshape, second, _, first, concat = path
    layers = []
    for gemm in (first, second):
        dims = index.dims(gemm.input[1])
        plain = [attribute(gemm, "transA", 0), attribute(gemm, "transB", 0)] == [0, 1] and {
            attribute(gemm, "alpha", 1.0),
            attribute(gemm, "beta", 1.0),
        } == {1.0}
        bias = gemm.input[2] if len(gemm.input) > 2 else ""
        constant = dims is not None and (not bias or index.dims(bias) == dims[:1])
        if not plain or not constant:
            return None
        layers.append((gemm.input[1], bias))
    outputs = (index.dims(second.input[1]) or (0,))[0]
    if (
        index.ints(reshape.input[1]) != [-1, frames, outputs // ACTIONS, ACTIONS]
        or attribute(argmax, "axis", 0) != -1
        or attribute(argmax, "keepdims", 1) != 0
        or attribute(argmax, "select_last_index", 0) != 0
        or attribute(concat, "axis") not in (-1, 1)
        or len(concat.input) != 2
    ):
        return None
    return PolicyNetwork(concat.input[0], concat.input[1], layers[0], layers[1])


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

"""Replacing the steps of an inception network by fused operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from adafuse_deploy.graph.fuse.feature_maps import FusedMaps, frame_names
from adafuse_deploy.graph.fuse.inception import (
    Concatenation,
    FrameConv,
    FrameNetwork,
    FramePool,
)
from adafuse_deploy.graph.fuse.operators import FusedOperators
from adafuse_deploy.graph.fuse.stem import find_stem
from adafuse_deploy.graph.fuse.weights import FusedWeights
from adafuse_deploy.graph.new_nodes import ints_constant, make_node
from adafuse_deploy.graph.values import dims


@dataclass(frozen=True)
class _Tensor:
    """Some channels of a value: frames, stored under a policy, and their means over space."""

    frames: ir.Value
    means: ir.Value
    channels: int
    policy: ir.Value | None = None


def fuse_network(
    graph: ir.Graph,
    network: FrameNetwork,
    maps: FusedMaps,
    operators: FusedOperators,
    weights: FusedWeights,
) -> None:
    """Add the fused operators of every step; ``maps`` learns the means over space."""
    if network.source is not None:
        _NetworkFusion(graph, network, maps, operators, weights).run()


class _NetworkFusion:
    """The steps one after another, with the tensors that each value is stored in."""

    def __init__(
        self,
        graph: ir.Graph,
        network: FrameNetwork,
        maps: FusedMaps,
        operators: FusedOperators,
        weights: FusedWeights,
    ) -> None:
        self._graph = graph
        self._network = network
        self._maps = maps
        self._operators = operators
        self._weights = weights
        self._tensors: dict[ir.Value, list[_Tensor]] = {}

    def run(self) -> None:
        source, borders = self._network.source, self._network.borders
        assert source is not None
        stem = find_stem(source)
        assert stem is not None
        frames = self._maps.frames(source, borders.get(source, 0))
        channels = _outputs(stem.weights[0])
        self._tensors[source] = [_Tensor(frames, self._maps.means[source], channels)]
        for value, step in self._network.steps.items():
            if isinstance(step, Concatenation):
                means = [self._maps.means[part] for part in step.parts]
                self._tensors[value] = [t for part in step.parts for t in self._tensors[part]]
            else:
                self._tensors[value] = self._operator(value, step)
                means = [tensor.means for tensor in self._tensors[value]]
            self._maps.means[value] = self._joined(value, means)

    def _operator(self, value: ir.Value, step: FrameConv | FramePool) -> list[_Tensor]:
        """Return what the step's operators give."""
        borders = self._network.borders
        common = {
            "stride": step.stride,
            "input_border": borders.get(step.source, 0),
            "border": borders.get(value, 0),
        }
        if isinstance(step, FrameConv):
            return [self._convolve(value, step, common)]
        return self._pool(value, step, common)

    def _convolve(self, value: ir.Value, step: FrameConv, common: dict[str, Any]) -> _Tensor:
        """Convolve all tensors of a value at once."""
        first, *others = sources = self._tensors[step.source]
        inputs = [first.frames, *self._weights.convolution(step.weights)]
        inputs_and_policies: list[ir.Value | None] = [*inputs, step.policy, first.policy]
        for source in others:
            inputs_and_policies += [source.frames, source.policy]
        node = self._operators.make(
            "FrameConv",
            inputs_and_policies,
            frame_names(value),
            [step.source, value],
            common["border"],
            channels=[source.channels for source in sources],
            **common,
        )
        self._insert(value, node)
        return _Tensor(node.outputs[0], node.outputs[1], _outputs(step.weights[0]), step.policy)

    def _pool(self, value: ir.Value, step: FramePool, common: dict[str, Any]) -> list[_Tensor]:
        """Pool the tensors of a value one by one, each under its share of the decisions."""
        made, done = [], 0
        for index, source in enumerate(self._tensors[step.source]):
            share = None
            if step.policy is not None:
                share = self._share(value, step.policy, done, done + source.channels)
            node = self._operators.make(
                "FramePool",
                [source.frames, source.policy, share],
                [f"{name}_{index}" for name in frame_names(value)],
                [step.source, value],
                common["border"],
                channels=source.channels,
                mode=step.mode,
                pad=step.pad,
                ceil=int(step.ceil),
                **common,
            )
            self._insert(value, node)
            frames, means = node.outputs
            made.append(_Tensor(frames, means, source.channels, share or source.policy))
            done += source.channels
        return made

    def _share(self, value: ir.Value, policy: ir.Value, first: int, last: int) -> ir.Value:
        """Return the decisions over channels ``first``...``last - 1``."""
        limits = [ints_constant(self._graph, number) for number in (first, last, 2)]
        node = make_node("Slice", [policy, *limits], [f"{value.name}_policy_{first}"])
        self._insert(value, node)
        return node.outputs[0]

    def _joined(self, value: ir.Value, means: list[ir.Value]) -> ir.Value:
        if len(means) == 1:
            return means[0]
        node = make_node("Concat", means, [f"{value.name}_means"], axis=1)
        self._insert(value, node)
        return node.outputs[0]

    def _insert(self, value: ir.Value, node: ir.Node) -> None:
        """Put a node where the portable graph makes ``value``."""
        maker = value.producer()
        assert maker is not None
        self._graph.insert_before(maker, node)


def _outputs(weight: ir.Value) -> int:
    shape = dims(weight)
    assert shape is not None
    return shape[0]

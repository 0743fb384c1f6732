"""Replacing blocks by fused operators that pass on frames with channels innermost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.graph.fuse.inception import (
    Concatenation,
    FrameConv,
    FramePool,
    find_frame_network,
)
from adafuse_deploy.graph.fuse.policy_networks import PolicyNetwork, SharedRows, find_policy_network
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock, find_block
from adafuse_deploy.graph.fuse.stem import find_stem
from adafuse_deploy.graph.fuse.stream_state import FusedState
from adafuse_deploy.graph.fuse.temporal_shift import Shift, find_shift
from adafuse_deploy.graph.fuse.weight_layouts import bfloat16, by_panels, pays_winograd
from adafuse_deploy.graph.index import GraphIndex, attribute
from adafuse_deploy.graph.qdq.removal import Quantisation, take_quantisation
from adafuse_deploy.graph.read import drop_unused_weights
from adafuse_deploy.ops.domain import DOMAIN, VERSION

_SPACE = [2, 3]


@dataclass(frozen=True)
class _Tensor:
    """Some channels of a value: frames, stored under a policy ("" for none)."""

    name: str
    channels: int
    policy: str


def fuse_residual_blocks(
    model: onnx.ModelProto, metadata: GraphMetadata, precision: str
) -> tuple[onnx.ModelProto, GraphMetadata, int]:
    """Return the graph with fused residual blocks, its metadata, and how many blocks there are.

    Args:
        model: a portable graph.
        metadata: of that graph.
        precision: of the blocks' weights and feature maps, "fp32", "bf16" or "int8"; the latter for
            quantised graphs.
    """
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    quantisation = take_quantisation(lowered)
    rewriter = _Rewriter(lowered.graph, metadata, precision, quantisation)
    rewriter.rewrite()
    metadata = replace(metadata, precision=precision, state=rewriter.state.tensors)
    if DOMAIN not in {entry.domain for entry in lowered.opset_import}:
        lowered.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))
    used = {node.op_type for node in lowered.graph.node}
    kept = [function for function in lowered.functions if function.name in used]
    del lowered.functions[:]
    lowered.functions.extend(kept)
    return lowered, metadata, rewriter.fused


class _Rewriter:
    """The nodes of a graph written again, one after another, with blocks in place of their ends."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        metadata: GraphMetadata,
        precision: str,
        quantisation: Quantisation,
    ) -> None:
        self._graph = graph
        self._frames = metadata.config.num_segments if metadata.mode == "clip" else 1
        self._portable_state = metadata.state
        self.state = FusedState(metadata.state, precision)
        self._precision = precision
        self._quantisation = quantisation
        self._index = GraphIndex(graph)
        blocks = (find_block(self._index, node) for node in graph.node)
        self._blocks = {block.output: block for block in blocks if block is not None}
        # There are kernels for clips only.
        nodes = list(graph.node) if metadata.mode == "clip" else []
        self._network = find_frame_network(self._index, nodes)
        if precision == "int8":
            self._network.settle_scales(quantisation.scales)
        self._rows = SharedRows()
        self._tensors: dict[str, list[_Tensor]] = {}  # of values of the network
        self._nodes: list[onnx.NodeProto] = []
        # Of a value (N * T, C, H, W): the name of its form with channels innermost, per border,
        # of its means over space, and its number of channels.
        self._innermost: dict[tuple[str, int], str] = {}
        self._pooled: dict[str, str] = {}
        self._channels: dict[str, int] = {}
        self._numbers: dict[tuple[int, ...], str] = {}
        self._zeros: set[str] = set()
        self._reordered: set[str] = set()
        # Policy networks by their first layer.
        self._sharing: dict[str, list[onnx.NodeProto]] = {}
        self._count = itertools.count()

    @property
    def fused(self) -> int:
        """How many blocks were replaced."""
        return len(self._blocks) + self._network.blocks

    def rewrite(self) -> None:
        for block in self._blocks.values():
            self._channels[block.shift.source] = self._dims(block.weights[0])[1]
            self._channels[block.output] = self._dims(block.weights[-2])[0]
        for node in self._graph.node:
            decides = find_policy_network(self._index, node, self._frames)
            if decides:
                self._decide(decides, node.output[0])
            elif node.output[0] in self._blocks:
                self._fuse(self._blocks[node.output[0]])
            elif node.output[0] in self._network.steps:
                self._fuse_step(node.output[0])
            elif not self._pool(node):
                self._nodes.append(node)
        if self._portable_state:
            self.state.declare(self._graph, self._portable_state)
            self._weigh_histories()
        nodes = self._nodes
        self._restore(nodes)
        nodes = _live(nodes, [value.name for value in self._graph.output])
        self._check_stored(nodes)
        # Known shapes, with the name of the first dimension, let a block write over its input.
        made = {name for node in nodes for name in node.output}
        known = [value for value in self._graph.value_info if value.name in made]
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(nodes)
        self._graph.value_info.extend(known)
        drop_unused_weights(self._graph)

    def _fuse(self, block: ResidualBlock) -> None:
        source = self._channels_innermost(block.shift.source, block.border)
        winograd = self._pays_winograd(block.output)
        weights, shortcut = self._parameters(block.weights), self._parameters(block.shortcut)
        if self._precision == "fp32":
            # Those of the first convolution, whose outputs are chosen, are read as they are.
            filtered = winograd and (block.stride == 1 or not block.bottleneck)
            for position in range(4 if filtered else 2, len(weights), 2):
                weights[position] = self._by_panels(weights[position])
            shortcut[:1] = [self._by_panels(name) for name in shortcut[:1]]
        inputs = [source, *weights, block.policy, *shortcut]
        result = f"{block.output}_innermost"
        self._innermost[block.output, block.border] = result
        self._pooled[block.output] = f"{block.output}_pooled"
        outputs = [result, self._pooled[block.output]]
        if block.history:
            inputs += [""] * (2 - len(shortcut))
            inputs += block.history
            handed_on = self.state.remember(block, source)
            outputs += handed_on
            # The gated convolution made them until now.
            self._nodes = [node for node in self._nodes if not {*handed_on} & {*node.output}]
        while not inputs[-1]:
            inputs.pop()
        self._add_fused(
            block.operator,
            inputs,
            outputs,
            block.feature_maps,
            frames=self._frames,
            stride=block.stride,
            **_shift_attributes(block),
            winograd=int(winograd),
        )

    def _pays_winograd(self, value: str) -> bool:
        """Whether 3x3 convolutions of stride 1 that give ``value``'s size use minimal filtering."""
        return self._precision == "fp32" and pays_winograd(self._index.plane(value))

    def _by_panels(self, weight: str) -> str:
        """Return the name of a weight's form that kernels read without a copy."""
        return self._reorder(weight, "by_panels", by_panels)

    def _by_units(self, weight: str) -> str:
        """Return the name of a weight's form with a row per input, of which some are not read."""
        return self._reorder(weight, "by_units", np.transpose)

    def _as_stored(self, weight: str) -> str:
        """Return the name of a weight in the type that the engine's file has weights in."""
        if self._precision != "bf16":
            return weight
        return self._reorder(weight, "bf16", np.asarray)

    def _reorder(self, weight: str, order: str, apply: Callable[[np.ndarray], np.ndarray]) -> str:
        """Return the name of a weight in another order, made once."""
        name = f"{weight}_{order}"
        if name not in self._reordered:
            self._reordered.add(name)
            values = np.ascontiguousarray(apply(self._index.values(weight)))
            store = bfloat16 if self._precision == "bf16" else onnx.numpy_helper.from_array
            self._graph.initializer.append(store(values, name))
        return name

    def _decide(self, network: PolicyNetwork, policy: str) -> None:
        """Add the fused operator for a policy network."""
        weight, bias = network.first
        shared, factors = self._rows.find(weight, self._index.values(weight))
        scale = f"{policy}_factors"
        self._graph.initializer.append(onnx.numpy_helper.from_array(factors, scale))
        shared = self._as_stored(shared)
        inputs = [network.previous, network.features, shared, scale, self._bias(weight, bias)]
        inputs += [self._by_units(network.second[0]), self._bias(*network.second)]
        attributes = network.attributes(self._frames)
        self._add("PolicyNetwork", inputs, [policy], domain=DOMAIN, **attributes)
        self._sharing.setdefault(shared, []).append(self._nodes[-1])

    def _weigh_histories(self) -> None:
        """Let policy networks that share their first layer weigh their previous features at once.

        These are known when a frame begins, so that half of the layer is read once per frame.
        """
        known = {value.name for value in self._graph.input}
        others, self._nodes = self._nodes, []
        for weight, sharing in self._sharing.items():
            networks = [node for node in sharing if node.input[0] in known]
            previous = [node.input[0] for node in networks]
            if len(networks) < 2:
                continue
            together = self._add("Concat", previous, axis=0)
            weighed = self._add("PolicyHistory", [together, weight], domain=DOMAIN)
            names = [f"{node.output[0]}_history" for node in networks]
            self._add("Split", [weighed], names, axis=0, num_outputs=len(names))
            for node, name in zip(networks, names, strict=True):
                node.input.append(name)
        self._nodes += others

    def _fuse_step(self, value: str) -> None:
        """Add the fused operators for a step of the inception network."""
        if not self._tensors:
            start = self._network.source
            name = self._channels_innermost(start, self._network.borders.get(start, 0))
            stem = find_stem(self._index, start)
            assert stem is not None
            self._tensors[start] = [_Tensor(name, self._dims(stem.weights[0])[0], "")]
        step = self._network.steps[value]
        if isinstance(step, Concatenation):
            self._tensors[value] = [part for name in step.parts for part in self._tensors[name]]
            means = [self._pooled[name] for name in step.parts]
            self._pooled[value] = self._add("Concat", means, [f"{value}_pooled"], axis=1)
            return
        common = {
            "stride": step.stride,
            "input_border": self._network.borders.get(step.source, 0),
            "border": self._network.borders.get(value, 0),
        }
        sources = self._tensors[step.source]
        if isinstance(step, FrameConv):
            weights = self._parameters(step.weights)
            first, *others = sources
            inputs = [first.name, *weights, step.policy, first.policy]
            for source in others:
                inputs += [source.name, source.policy]
            made = [_Tensor(f"{value}_innermost", self._dims(step.weights[0])[0], step.policy)]
            self._add_frames(
                "FrameConv",
                inputs,
                made[0].name,
                [step.source, value],
                channels=[s.channels for s in sources],
                winograd=int(self._pays_winograd(value)),
                **common,
            )
        else:
            made = self._pool_tensors(value, step, sources, common)
        self._tensors[value] = made
        means = [f"{tensor.name}_pooled" for tensor in made]
        self._pooled[value] = means[0] if len(means) == 1 else self._add("Concat", means, axis=1)

    def _pool_tensors(
        self, value: str, step: FramePool, sources: list[_Tensor], common: dict[str, Any]
    ) -> list[_Tensor]:
        """Pool the tensors of a value one by one, each under its share of the decisions."""
        made, done = [], 0
        for i, source in enumerate(sources):
            share = ""
            if step.policy:
                end = done + source.channels
                share = self._slice(step.policy, done, end, axis=2)
            name = f"{value}_{i}_innermost"
            self._add_frames(
                "FramePool",
                [source.name, source.policy, share],
                name,
                [step.source, value],
                channels=source.channels,
                mode=step.mode,
                pad=step.pad,
                ceil=int(step.ceil),
                **common,
            )
            made.append(_Tensor(name, source.channels, share or source.policy))
            done += source.channels
        return made

    def _add_frames(
        self, kind: str, inputs: list[str], name: str, maps: list[str], **attributes: Any
    ) -> None:
        while not inputs[-1]:
            inputs.pop()
        self._add_fused(kind, inputs, [name, f"{name}_pooled"], maps, **attributes)

    def _parameters(self, names: tuple[str, ...]) -> list[str]:
        """Return weights and biases, with zeros for the biases that are missing.

        In int8 the weights are integers, and their scales stand behind the biases.
        """
        complete = []
        for weight, given in zip(names[::2], names[1::2], strict=True):
            bias = self._bias(weight, given)
            if self._precision == "int8":
                integers = self._quantisation.weights[weight]
                complete += [integers.integers, bias, integers.scale]
            else:
                complete += [self._as_stored(weight), bias]
        return complete

    def _bias(self, weight: str, bias: str) -> str:
        """Return ``bias``, or zeros for the outputs of ``weight`` if there is none."""
        if bias:
            return bias
        size = self._dims(weight)[0]
        bias = f"lowered_zeros_{size}"
        if bias not in self._zeros:
            self._zeros.add(bias)
            zeros = onnx.numpy_helper.from_array(np.zeros(size, np.float32), bias)
            self._graph.initializer.append(zeros)
        return bias

    def _channels_innermost(self, value: str, border: int) -> str:
        """Return the name of ``value`` in the fused operators' layout."""
        if (value, border) not in self._innermost:
            name = f"{value}_innermost"
            self._innermost[value, border] = name
            self._pooled[value] = f"{value}_pooled"
            stem = find_stem(self._index, value)
            outputs = [name, self._pooled[value]]
            if stem is None:
                self._add_fused("ChannelsLast", [value], outputs, [value], border=border)
            else:
                inputs = [stem.source, *self._parameters(stem.weights)]
                maps = [stem.source, value]
                self._add_fused("Stem", inputs, outputs, maps, border=border, **stem.attributes())
        return self._innermost[value, border]

    def _pool(self, node: onnx.NodeProto) -> bool:
        """Take means over space from a fused operator, if there are any, and shift them."""
        if node.op_type != "ReduceMean" or attribute(node, "keepdims", 1) != 0:
            return False
        if len(node.input) != 2 or self._index.ints(node.input[1]) != _SPACE:
            return False
        shift = find_shift(self._index, node.input[0])
        readers = [block for block in self._blocks.values() if block.shift == shift]
        if shift.source not in self._pooled:
            if not readers:
                return False
            self._channels_innermost(shift.source, readers[0].border)
        self._shift_pooled(shift, node.output[0])
        return True

    def _shift_pooled(self, shift: Shift, output: str) -> None:
        """Shift the means (N * T, C) of a value as its frames are."""
        pooled = self._pooled[shift.source]
        if not shift.from_next + shift.from_previous:
            self._add("Identity", [pooled], [output])
            return
        channels = self._channels[shift.source]
        clips = self._add("Reshape", [pooled, self._ints(-1, self._frames, channels)])
        end = shift.from_next + shift.from_previous
        parts = []
        for first, last, frame in (
            (0, shift.from_next, 1),
            (shift.from_next, end, -1),
            (end, channels, 0),
        ):
            if first == last:
                continue
            part = self._slice(clips, first, last, axis=2)
            if frame == 1:
                part = self._slice(part, 1, self._frames, axis=1)
                part = self._add("Pad", [part, self._ints(0, 0, 0, 0, 1, 0)])
            elif frame == -1:
                part = self._slice(part, 0, self._frames - 1, axis=1)
                part = self._add("Pad", [part, self._ints(0, 1, 0, 0, 0, 0)])
            parts.append(part)
        shifted = self._add("Concat", parts, axis=2)
        self._add("Reshape", [shifted, self._ints(-1, channels)], [output])

    def _restore(self, nodes: list[onnx.NodeProto]) -> None:
        """Give values that other nodes still read their channels back in front of space."""
        made = {name for node in nodes for name in node.output}
        wanted = {name for node in nodes for name in node.input} - made
        for block in self._blocks.values():
            if block.output not in wanted:
                continue
            name = self._innermost[block.output, block.border]
            position = next(i for i, node in enumerate(nodes) if name in node.output) + 1
            self._nodes = []
            first, last = block.border, -block.border or np.iinfo(np.int64).max
            inside = self._add(
                "Slice",
                [
                    name,
                    self._ints(first, first, 0),
                    self._ints(last, last, self._channels[block.output]),
                    self._ints(1, 2, 3),
                ],
            )
            self._add("Transpose", [inside], [block.output], perm=[0, 3, 1, 2])
            nodes[position:position] = self._nodes

    def _check_stored(self, nodes: list[onnx.NodeProto]) -> None:
        """Raise :class:`InputError` if other nodes read bf16 or int8 of fused operators."""
        if self._precision == "fp32":
            return
        read = {name for node in nodes for name in node.input}
        if any(block.output in read for block in self._blocks.values()):
            raise InputError(
                "Not everything in this network that reads feature maps has a fused operator "
                "(gates on maxima, or second gates in some stages only), and what has none reads "
                f"float32, so it cannot be built in {self._precision}; build it in fp32."
            )

    def _slice(self, value: str, first: int, last: int, axis: int) -> str:
        return self._add("Slice", [value, self._ints(first), self._ints(last), self._ints(axis)])

    def _add_fused(
        self, kind: str, inputs: list[str], outputs: list[str], maps: list[str], **attributes: Any
    ) -> None:
        """Add a fused operator between the feature maps ``maps``."""
        if self._precision == "int8":
            # A picture has values below zero, what comes out of a ReLU has not.
            signed = maps[:1] if kind == "Stem" else []
            attributes["scales"] = self._quantisation.scales_of(maps, signed)
            kind = kind if kind == "ChannelsLast" else f"Quantized{kind}"
        self._add(kind, inputs, outputs, domain=DOMAIN, precision=self._precision, **attributes)

    def _add(
        self, kind: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        outputs = outputs or [f"lowered_{kind.lower()}_{next(self._count)}"]
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def _ints(self, *numbers: int) -> str:
        """Return the name of a constant vector."""
        if numbers not in self._numbers:
            name = f"lowered_ints_{len(self._numbers)}"
            self._numbers[numbers] = name
            tensor = onnx.numpy_helper.from_array(np.array(numbers, np.int64), name)
            self._graph.initializer.append(tensor)
        return self._numbers[numbers]

    def _dims(self, name: str) -> tuple[int, ...]:
        dims = self._index.dims(name)
        assert dims is not None
        return dims


def _shift_attributes(block: ResidualBlock) -> dict[str, int]:
    """Return how a fused block's input is shifted, for conv1 alone or the shortcut too.

    The attributes have other names where the shortcut is not shifted, so that an operator library
    that shifts it always refuses the graph.
    """
    of = "" if block.shifts_shortcut else "conv1_"
    return {
        f"{of}shift_next": block.shift.from_next,
        f"{of}shift_previous": block.shift.from_previous,
    }


def _live(nodes: Iterable[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs depend on."""
    needed = set(outputs)
    live = []
    for node in reversed(list(nodes)):
        if needed.intersection(node.output):
            live.append(node)
            needed.update(node.input)
    return live[::-1]

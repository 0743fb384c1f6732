"""From a portable graph to one whose gated residual blocks are plugins of TensorRT.

TensorRT's parser finds a plugin by a node's operator and its attributes ``plugin_version`` and
``plugin_namespace``.  TensorRT was never at hand: the tests evaluate these graphs with a reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, RemoveUnusedNodesPass

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.sizes import round_up
from adafuse_deploy.graph.fuse.policy_networks import PolicyNetwork, find_policy_networks
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock, find_blocks
from adafuse_deploy.graph.layers import Parameters
from adafuse_deploy.graph.new_nodes import add_constant, drop_unused_constants
from adafuse_deploy.graph.plugins import OPERATOR, PLUGIN_VERSION
from adafuse_deploy.graph.plugins.frames import FrameNodes
from adafuse_deploy.graph.plugins.gates import padded, why_outside
from adafuse_deploy.graph.values import constant, dims, plane
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION
from adafuse_deploy.ops.triton.block import order
from adafuse_deploy.ops.triton.block.compiled import HIDDEN, why_not
from adafuse_deploy.ops.triton.block.plan import Block, Shift

_CONDITIONAL = ("GatedConv", "SkipConv")
_STORED = {"fp16": np.float16, "fp32": np.float32}


@dataclass(frozen=True)
class PluginGraph:
    """A graph with plugins.

    Attributes:
        model: where nothing is a plugin the given graph.
        blocks: how many plugins there are.
        left: what is left to TensorRT's layers, a sentence each.
    """

    model: onnx.ModelProto
    blocks: int
    left: tuple[str, ...]


def for_plugins(model: onnx.ModelProto, frames: int, precision: str, clips: int = 1) -> PluginGraph:
    """Return a graph whose gated residual blocks are the library's, as far as it serves them.

    What it does not serve keeps its operators and their function bodies, which compute every
    channel; so do blocks without a gate, for which TensorRT has kernels of its own.

    Args:
        model: an exported clip graph, its function bodies still there.
        frames: T.
        precision: of its feature maps, "fp32" or "fp16".
        clips: the largest batch.
    """
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    result = ir.from_proto(typed)
    lowering = _Lowering(result.graph, frames, precision, clips)
    blocks = [block for block in find_blocks(result.graph) if block.policy is not None]
    served = [block for block in blocks if lowering.lower(block)]
    lowering.finish()
    RemoveUnusedNodesPass()(result)
    conditional = [node for node in result.graph if node.op_type in _CONDITIONAL]
    left = [
        f"{_counted(count, 'gated block')} left to TensorRT's layers, which compute every channel: "
        f"{reason}."
        for reason, count in lowering.blocks_left.items()
    ]
    others = len(conditional) - 2 * (len(blocks) - len(served))
    if others:
        left.append(
            f"{_counted(others, 'conditional convolution')} left to TensorRT's layers, which "
            "compute every channel: there are kernels for residual blocks with one gate."
        )
    left += [
        f"{_counted(count, 'gate')} left to TensorRT's layers: {reason}."
        for reason, count in lowering.gates_left.items()
    ]
    if not served:
        return PluginGraph(model, 0, tuple(left))
    RemoveUnusedFunctionsPass()(result)
    drop_unused_constants(result.graph)
    result.graph.opset_imports.setdefault(DOMAIN, VERSION)
    return PluginGraph(ir.to_proto(result), len(served), tuple(left))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"


class _Lowering:
    """Puts plugins beside the blocks that they replace."""

    def __init__(self, graph: ir.Graph, frames: int, precision: str, clips: int) -> None:
        self._graph, self._frames, self._precision, self._clips = graph, frames, precision, clips
        self._nodes = FrameNodes(graph)
        self._policies: Mapping[ir.Value, PolicyNetwork] = {
            network.decides.outputs[0]: network for network in find_policy_networks(graph, frames)
        }
        self._made: dict[ir.Value, ir.Node] = {}
        self._converted: dict[tuple[ir.Value, bool], ir.Value] = {}
        self._replaced: list[tuple[ir.Value, ir.Value]] = []
        self.blocks_left: Counter[str] = Counter()
        self.gates_left: Counter[str] = Counter()

    def lower(self, block: ResidualBlock) -> bool:
        """Add a plugin for a gated block; False if none serves."""
        size = plane(block.shift.source)
        if size is None:
            self.blocks_left["its frames have no fixed size"] += 1
            return False
        inner = [dims(weight) for weight, *_ in block.weights[:-1]]
        if len({shape[0] for shape in inner if shape is not None}) > 1:
            self.blocks_left[
                "their convolutions are as wide as each other, unlike pruned ones"
            ] += 1
            return False
        spec, network, reason = self._spec(block)
        why = why_not(spec, *size, self._clips, self._frames)
        if why is not None:
            self.blocks_left[f"in kernels compiled ahead of time {why}"] += 1
            return False
        if network is None:
            self.gates_left[f"{reason}"] += 1
        node = self._node(block, spec, size, network)
        maker = block.output.producer()
        assert maker is not None
        self._graph.insert_before(maker, node)
        self._made[block.output] = node
        restored = self._nodes.from_frames(
            node.outputs[0], spec.output(*size), str(block.output.name)
        )
        self._graph.insert_after(node, restored)
        self._replaced.append((block.output, restored[-1].outputs[0]))
        if network is not None:
            assert block.policy is not None
            self._replaced.append((block.policy, node.outputs[2]))
        return True

    def finish(self) -> None:
        """Let others read what the plugins give; until then blocks are found as they were."""
        for old, new in self._replaced:
            new.type, new.shape = old.type, old.shape
            old.replace_all_uses_with(new, replace_graph_outputs=True)

    def _spec(self, block: ResidualBlock) -> tuple[Block, PolicyNetwork | None, str | None]:
        """Return the block as kernels see it, the gate that they decide, or why they do not."""
        first, last = dims(block.weights[0][0]), dims(block.weights[-1][0])
        assert first is not None and last is not None and block.policy is not None
        shift = block.shift
        spec = Block(
            "bottleneck" if block.bottleneck else "basic",
            first[1],
            first[0],
            last[0],
            block.stride,
            block.shortcut is not None,
            Shift(shift.from_next, shift.from_next + shift.from_previous),
            block.shifts_shortcut,
            dtype=self._precision,
            gate_dtype=self._precision,
        )
        network = self._policies.get(block.policy)
        reason = why_outside(network, block, spec.channels_in)
        if network is None or reason is not None:
            return spec, None, reason
        shape = dims(network.first[0])
        assert shape is not None
        hidden = round_up(shape[0], HIDDEN)
        return replace(spec, hidden=hidden, actions=network.actions), network, None

    def _node(
        self,
        block: ResidualBlock,
        spec: Block,
        size: tuple[int, int],
        network: PolicyNetwork | None,
    ) -> ir.Node:
        source = self._made.get(block.shift.source)
        inputs: list[ir.Value | None] = [self._frames_of(block, spec, size)]
        inputs += self._weights(block)
        outputs = [f"{block.output.name}_frames", f"{block.output.name}_sums"]
        if network is None:
            inputs.append(block.policy)
        else:
            assert block.policy is not None
            inputs += self._gate(network, spec)
            if source is not None:
                inputs.append(source.outputs[1])
            outputs.append(str(block.policy.name))
        numbers = {
            "bottleneck": int(block.bottleneck),
            "frames": self._frames,
            "height": size[0],
            "width": size[1],
            "channels_in": spec.channels_in,
            "channels": spec.channels,
            "channels_out": spec.channels_out,
            "stride": spec.stride,
            "project": int(spec.project),
            "shift_next": block.shift.from_next,
            "shift_previous": block.shift.from_previous,
            "shift_shortcut": int(spec.shift_shortcut),
            "hidden": spec.hidden,
            "summed": int(network is not None and source is not None),
        }
        attributes: dict[str, int | list[int] | str] = {
            **numbers,
            # Of a third logit that a gate has not nothing is chosen.
            "actions": [*spec.actions, 0][:3],
            "plugin_namespace": DOMAIN,
            "plugin_version": PLUGIN_VERSION,
        }
        values = [ir.val(name) for name in outputs]
        return ir.node(OPERATOR, inputs, attributes, domain=DOMAIN, outputs=values, name=outputs[0])

    def _frames_of(self, block: ResidualBlock, spec: Block, size: tuple[int, int]) -> ir.Value:
        """Return the block's input as frames, which the block before gives, or converted."""
        value, layout = block.shift.source, spec.input(*size)
        made = self._made.get(value)
        if made is not None:
            return made.outputs[0]
        key = value, layout.border
        if key not in self._converted:
            nodes = self._nodes.to_frames(value, layout)
            maker = value.producer()
            assert maker is not None
            self._graph.insert_after(maker, nodes)
            self._converted[key] = nodes[-1].outputs[0]
        return self._converted[key]

    def _weights(self, block: ResidualBlock) -> list[ir.Value]:
        """Return the convolutions' weights and biases in the order of the plugin's inputs."""
        turns = (order.first, order.second, order.plain)
        values: list[ir.Value] = []
        for index, (layer, turn) in enumerate(zip(block.weights, turns, strict=False)):
            bias = _bias(layer)
            if index == 0:
                bias = np.pad(bias, (0, 1))
            if index + 1 == len(block.weights) and block.shortcut is not None:
                bias = bias + _bias(block.shortcut)
            name = f"{block.output.name}_{index + 1}"
            values.append(self._stored(f"{name}_weight", turn(_single(layer[0]))))
            values.append(add_constant(self._graph, f"{name}_bias", bias.astype(np.float32)))
        if block.shortcut is not None:
            weight = order.plain(_single(block.shortcut[0]))
            values.append(self._stored(f"{block.output.name}_shortcut", weight))
        return values

    def _gate(self, network: PolicyNetwork, spec: Block) -> list[ir.Value]:
        name = str(network.decides.outputs[0].name)
        units, biases = padded(_single(network.first[0]), _bias(network.first), spec.channels_in)
        second = _single(network.second[0])
        second = np.pad(second, ((0, 0), (0, spec.hidden - second.shape[1])))
        logits, shifts = order.logits(second, _bias(network.second), len(spec.actions))
        return [
            self._stored(f"{name}_weight0", units),
            add_constant(self._graph, f"{name}_bias0", biases),
            self._stored(f"{name}_weight1", logits),
            add_constant(self._graph, f"{name}_bias1", shifts),
        ]

    def _stored(self, name: str, values: np.ndarray) -> ir.Value:
        """Add a constant in the type of feature maps."""
        stored = np.ascontiguousarray(values, _STORED[self._precision])
        if not np.isfinite(stored).all():
            raise InputError(
                f"The weight {name} reaches beyond {self._precision}; build in another precision."
            )
        return add_constant(self._graph, name, stored)


def _single(weight: ir.Value) -> np.ndarray:
    return constant(weight).astype(np.float32)


def _bias(layer: Parameters) -> np.ndarray:
    """Return a layer's bias, zeros if it has none."""
    weight, bias = layer
    if bias is not None:
        return _single(bias)
    shape = dims(weight)
    assert shape is not None
    return np.zeros(shape[0], np.float32)

"""From a portable graph to one of fused operators that pass on frames with channels innermost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, RemoveUnusedNodesPass

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.graph.fuse.feature_maps import FusedMaps
from adafuse_deploy.graph.fuse.inception import FrameNetwork, find_frame_network
from adafuse_deploy.graph.fuse.inception_fusion import fuse_network
from adafuse_deploy.graph.fuse.operators import FusedOperators
from adafuse_deploy.graph.fuse.policy_fusion import fuse_policy_networks, weigh_histories
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock, find_blocks
from adafuse_deploy.graph.fuse.residual_fusion import fuse_blocks
from adafuse_deploy.graph.fuse.spatial_means import take_means
from adafuse_deploy.graph.fuse.stream_state import FusedState
from adafuse_deploy.graph.fuse.weights import FusedWeights
from adafuse_deploy.graph.qdq.removal import take_quantisation
from adafuse_deploy.graph.values import dims
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION


def fuse(
    model: onnx.ModelProto, metadata: GraphMetadata, precision: str
) -> tuple[onnx.ModelProto, GraphMetadata, int]:
    """Return the graph with fused blocks, its metadata, and how many blocks there are.

    Every pass adds its operators beside the nodes that they replace; what nobody reads any more
    goes at the end.

    Args:
        model: a portable graph; it is not changed.
        metadata: of that graph.
        precision: of the blocks' weights and feature maps, "fp32", "bf16" or "int8"; the latter for
            quantised graphs.

    Raises:
        InputError: the graph cannot be built in that precision.
    """
    fused = ir.from_proto(model)
    graph = fused.graph
    streams = metadata.mode == "stream"
    frames = 1 if streams else metadata.config.num_segments
    quantisation = take_quantisation(graph)
    weights = FusedWeights(graph, precision, quantisation)
    fuse_policy_networks(graph, frames, weights)

    blocks = find_blocks(graph)
    # There are kernels for clips only.
    network = FrameNetwork() if streams else find_frame_network(graph)
    if precision == "int8":
        network.settle_scales(quantisation.scales)
    operators = FusedOperators(precision, quantisation)
    maps = FusedMaps(graph, operators, weights)
    state = FusedState(graph, metadata.state, precision)
    fuse_blocks(graph, blocks, frames, maps, operators, weights, state)
    fuse_network(graph, network, maps, operators, weights)
    channels = _channels(blocks)
    take_means(graph, blocks, channels, frames, maps)
    state.declare()
    restored = [
        maps.restore(block.output, block.border, channels[block.output]) for block in blocks
    ]
    if streams:
        weigh_histories(graph)

    RemoveUnusedNodesPass()(fused)
    RemoveUnusedFunctionsPass()(fused)
    if precision != "fp32" and any(value.uses() or value.is_graph_output() for value in restored):
        raise InputError(
            "Not everything in this network that reads feature maps has a fused operator (gates on "
            "maxima, or second gates in some stages only), and what has none reads float32, so it "
            f"cannot be built in {precision}; build it in fp32."
        )
    graph.opset_imports.setdefault(DOMAIN, VERSION)
    described = replace(metadata, precision=precision, state=state.tensors)
    return ir.to_proto(fused), described, len(blocks) + network.blocks


def _channels(blocks: Sequence[ResidualBlock]) -> dict[ir.Value, int]:
    """Return how many channels the blocks read and give."""
    channels: dict[ir.Value, int] = {}
    for block in blocks:
        first, last = dims(block.weights[0][0]), dims(block.weights[-1][0])
        assert first is not None and last is not None
        channels[block.shift.source] = first[1]
        channels[block.output] = last[0]
    return channels

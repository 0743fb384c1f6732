"""Block kernels in Triton's interpreter against the network's own residual blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.forward import ForwardPass
from adafuse_deploy.models.gate import PolicyNetwork, PolicyNetworks, argmax, fixed
from adafuse_deploy.models.layers import ConvBN
from adafuse_deploy.models.resnet import BasicBlock, Bottleneck, ResidualBlock
from tests.conftest import enliven

pytest.importorskip("triton")
from adafuse_deploy.ops.triton.block.plan import Block, Shift
from adafuse_deploy.ops.triton.block.run import (
    BlockOutput,
    Sums,
    from_frames,
    run_block,
    sum_frames,
    to_frames,
)
from adafuse_deploy.ops.triton.block.tiles import Tile
from adafuse_deploy.ops.triton.block.weights import TYPES, pack_block, pack_gate

# Small, because the interpreter takes its time.
SMALL = dict.fromkeys(("outputs", "inputs", "last"), Tile(32, 32, 32, 4, 1))
# Of a value and the RMS of all: a few steps of what is stored.
TOLERANCE = {"fp32": 1e-5, "fp16": 4e-3, "bf16": 3e-2}
NAMES = {"keep": KEEP, "reuse": REUSE, "skip": SKIP}
OUTSIDE = torch.tensor([-(2**31), -1, 3, 2**31 - 1], dtype=torch.int32)


def make_block(
    kind: type[ResidualBlock], config: ModelConfig, channels: int, width: int, stride: int = 1
) -> ResidualBlock:
    """Return a block with lively weights, its normalisation folded."""
    torch.manual_seed(1)
    policies = PolicyNetworks(config) if config.gated_stages else None
    block = kind(config, channels, width, stride, policies, 0, "block")
    holder: Any = torch.nn.Module()
    holder.block, holder.config = block, config
    enliven(holder)
    for module in block.modules():
        if isinstance(module, (ConvBN, PolicyNetwork)):
            module.fold()
    return block


def described(block: Any, config: ModelConfig, dtype: str, gate: bool) -> Block:
    """Return what the kernels need to know of a block."""
    first = block.conv1.conv
    last = getattr(block, "conv3", block.conv2).conv
    return Block(
        "bottleneck" if isinstance(block, Bottleneck) else "basic",
        first.in_channels,
        first.out_channels,
        last.out_channels,
        max(first.stride[0], block.conv2.conv.stride[0]),
        block.downsample is not None,
        Shift.of(block.shift, first.in_channels, block.shift_div),
        block.shift_shortcut,
        gated=block.gate1 is not None,
        hidden=block.gate1.fc0.out_features if gate else 0,
        history=block.gate1.history if block.gate1 is not None else True,
        relu=config.gate_relu,
        actions=tuple(NAMES[action] for action in config.gate_actions),
        dtype=dtype,
        gate_dtype=dtype,
    )


def rounded(block: Any, dtype: str) -> list[tuple[Tensor, Tensor]]:
    """Round a block's convolutions to a type, in place; return what the kernels take."""
    convolutions = [block.conv1, block.conv2, *([block.conv3] if hasattr(block, "conv3") else [])]
    convolutions += [block.downsample] if block.downsample is not None else []
    with torch.no_grad():
        for layer in convolutions:
            layer.conv.weight.copy_(layer.conv.weight.to(TYPES[dtype]))
    return [layer.folded() for layer in convolutions]


class RoundingPass(ForwardPass):
    """Rounds what the kernels store: convolutions behind their ReLU."""

    dtype = torch.float32

    def conv(self, x: Tensor, layer: ConvBN, *, relu: bool = True, **policies: Any) -> Tensor:
        y = super().conv(x, layer, relu=relu, **policies)
        return y.to(self.dtype).float() if relu else y


@torch.no_grad()
def check(
    kind: type[ResidualBlock],
    *,
    dtype: str = "fp32",
    clips: int = 1,
    frames: int = 2,
    size: tuple[int, int] = (5, 4),
    channels: tuple[int, int] = (64, 32),
    stride: int = 1,
    policy: Tensor | None = None,
    gate: bool = False,
    choice: Any = SMALL,
    **overrides: Any,
) -> BlockOutput:
    """Compare one block of random weights with the network's."""
    config = ModelConfig(gate_hidden=24, **{"temporal_shift": "bidirectional", **overrides})
    module: Any = make_block(kind, config, *channels, stride)
    block = described(module, config, dtype, gate)
    weights = rounded(module, dtype)
    shortcut = weights.pop() if block.project else None
    packed = pack_block(block, weights, shortcut)
    rows = clips * frames
    x = torch.randn(rows, channels[0], *size).relu().to(TYPES[dtype])
    layout = block.input(*size)
    given = to_frames(x, layout)
    decisions: list[Tensor] = []
    sums: Sums | None = None
    if gate:
        layers = [(linear.weight, linear.bias) for linear, _, _ in module.gate1.layers()]
        packed |= pack_gate(block, layers)
        sums = sum_frames(given, layout)
    elif block.gated and policy is None:
        policy = torch.randint(0, 3, (rows, channels[1]), dtype=torch.int32)
    if policy is not None:  # what is no action is none
        known = torch.where((policy == KEEP) | (policy == REUSE), policy, SKIP)
        decisions.append(known.unflatten(0, (clips, frames)))
    run = RoundingPass(frames, argmax if gate else fixed(decisions))
    run.dtype = x.dtype
    expected = module(x.float(), run)

    result = run_block(
        block, packed, given, size, frames, policy, sums, choice=choice, fill=torch.nan
    )

    out = block.output(*size)
    y = from_frames(result.frames, out).float()
    assert y.shape == expected.shape
    rms = expected.square().mean().sqrt()
    error = ((y - expected).abs() / (rms + expected.abs())).max()
    assert error < TOLERANCE[dtype], error
    if gate:
        assert result.policy is not None
        assert torch.equal(result.policy.unflatten(0, (clips, frames)), run.policies[0])
    if out.border:  # it is whole, and zero
        assert torch.equal(to_frames(y, out), result.frames.float())
    # Sums are what the next gate wants: taken the long way round.
    totals = torch.zeros(rows, channels_out := block.channels_out)
    where = result.sums.layout
    for index in range(len(result.sums.values)):
        tile, segment = divmod(index, where.segments)
        frame = tile * where.tile_pixels // where.pixels + segment
        starts = frame * where.pixels, tile * where.tile_pixels
        ends = starts[0] + where.pixels, starts[1] + where.tile_pixels
        if frame < rows and max(starts) < min(ends):
            totals[frame] += result.sums.values[index]
    assert totals.shape[1] == channels_out
    torch.testing.assert_close(totals, y.sum((2, 3)), rtol=1e-4, atol=1e-3)
    return result


KINDS = pytest.mark.parametrize("kind", [Bottleneck, BasicBlock])
QUICK_KINDS = pytest.mark.parametrize(
    "kind", [Bottleneck, pytest.param(BasicBlock, marks=pytest.mark.slow)]
)
# A bottleneck gives four times as many channels as it has inside, a basic block as many.
IDENTITY = {Bottleneck: (64, 16), BasicBlock: (32, 32)}


@KINDS
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_types(kind: type[ResidualBlock], dtype: str) -> None:
    check(kind, dtype=dtype, channels=IDENTITY[kind])


@KINDS
@pytest.mark.parametrize(
    "case",
    [
        dict(stride=2, clips=2, size=(3, 4)),
        dict(stride=2, size=(5, 8), shift_place="conv1"),
        dict(channels=(32, 16)),  # a projection without stride, in bottlenecks
        dict(temporal_shift="none"),
        dict(temporal_shift="online", frames=3, size=(3, 3)),
        dict(frames=1),
        dict(frames=3, size=(7, 6)),  # tiles that end inside frames
        dict(gated_stages=()),
        dict(gated_stages=(), stride=2, frames=1),
        pytest.param(dict(shift_div=24), marks=pytest.mark.slow),  # no whole loads
    ],
    ids=str,
)
def test_blocks(kind: type[ResidualBlock], case: dict[str, Any]) -> None:
    check(kind, **{"channels": (32, 16) if "stride" in case else IDENTITY[kind], **case})


@QUICK_KINDS
@pytest.mark.parametrize("action", [KEEP, REUSE, SKIP])
def test_one_action_for_all(kind: type[ResidualBlock], action: int) -> None:
    policy = torch.full((2, IDENTITY[kind][1]), action, dtype=torch.int32)
    check(kind, channels=IDENTITY[kind], policy=policy, size=(3, 4))


@QUICK_KINDS
def test_values_out_of_range_skip(kind: type[ResidualBlock]) -> None:
    torch.manual_seed(2)
    width = IDENTITY[kind][1]
    values = torch.cat([torch.tensor([KEEP, REUSE, SKIP], dtype=torch.int32), OUTSIDE])
    check(
        kind,
        channels=IDENTITY[kind],
        policy=values[torch.randint(0, len(values), (2, width))],
        size=(3, 4),
    )
    check(
        kind,
        channels=IDENTITY[kind],
        policy=torch.randint(-(2**31), 2**31 - 1, (2, width)).int(),
        size=(3, 4),
    )


@QUICK_KINDS
def test_channels_that_fill_no_tile(kind: type[ResidualBlock]) -> None:
    check(kind, channels=(20, 12), stride=2, size=(5, 4), frames=2)


@KINDS
@pytest.mark.parametrize(
    "case",
    [
        dict(),
        dict(clips=3, frames=2, temporal_shift="online"),
        dict(gate_actions=("keep", "skip"), clips=2, frames=1),
        dict(gate_actions=("keep", "reuse"), temporal_shift="none", gate_relu=False),
        pytest.param(dict(frames=18, size=(2, 2)), marks=pytest.mark.slow),
        pytest.param(dict(clips=20, frames=1, size=(1, 1)), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_gate_decides_and_lists(kind: type[ResidualBlock], case: dict[str, Any]) -> None:
    check(kind, channels=IDENTITY[kind], gate=True, **{"size": (4, 5), **case})


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", range(6))
def test_tiles_that_are_compiled(kind: type[ResidualBlock], dtype: str, shape: int) -> None:
    sizes = [(14, 14), (7, 7), (8, 17), (1, 1), (1, 30), (13, 2)]
    check(
        kind,
        dtype=dtype,
        size=sizes[shape],
        channels=(64, 64) if shape % 2 else (128, 128),
        stride=1 + shape % 2,
        choice=None,
        clips=1 + shape % 3,
        frames=2,
    )


def test_overflow_stays_where_it_is() -> None:
    """A sum beyond fp16 must not become NaN in frames that did not ask for it."""
    block = Block("bottleneck", 64, 32, 64, dtype="fp16")
    torch.manual_seed(0)
    weights = [
        (torch.full((32, 64, 1, 1), 60000.0), torch.zeros(32)),
        (torch.rand(32, 32, 3, 3) * 1e-6, torch.zeros(32)),
        (torch.rand(64, 32, 1, 1) * 1e-6, torch.zeros(64)),
    ]
    policy = torch.full((2, 32), SKIP, dtype=torch.int32)
    policy[0, :3], policy[1, 5:8] = KEEP, REUSE  # frame 0 lends what it does not keep
    x = torch.ones(2, 64, 3, 3).half()
    result = run_block(
        block, pack_block(block, weights), to_frames(x, block.input(3, 3)), (3, 3), 2, policy,
        choice=SMALL,
    )  # fmt: skip
    assert result.frames.isfinite().all()


def test_says_what_is_wrong() -> None:
    block = Block("bottleneck", 64, 32, 64, dtype="fp32")
    x = torch.zeros(3, block.input(4, 4).size)
    policy = torch.zeros(3, 32, dtype=torch.int32)
    cases: list[tuple[dict[str, Any], str]] = [
        (dict(frames=2), "no whole clips"),
        (dict(size=(4, 5)), "elements"),
        (dict(x=x.half()), "elements"),
        (dict(policy=policy.long()), "policy"),
        (dict(policy=None), "policy"),
        (dict(block=replace(block, hidden=8)), "sums"),
    ]
    for wrong, message in cases:
        arguments: Any = dict(block=block, x=x, size=(4, 4), frames=3, policy=policy) | wrong
        with pytest.raises(InputError, match=message):
            run_block(weights={}, **arguments)
    for shape in ((62, 32, 64), (64, 1024, 64)):
        with pytest.raises(InputError, match="by its convolutions"):
            Block("bottleneck", *shape, dtype="fp32")
    with pytest.raises(InputError, match="finite"):
        pack_block(block, [(torch.full((32, 64, 1, 1), torch.inf), torch.zeros(32))])
    with pytest.raises(InputError, match="two linear layers"):
        pack_gate(block, [(torch.zeros(3, 3), torch.zeros(3))])

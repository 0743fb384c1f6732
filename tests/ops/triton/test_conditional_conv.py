"""The GPU kernels in Triton's interpreter against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.models import forward
from adafuse_deploy.ops import conv
from adafuse_deploy.ops.triton import tiles
from tests.support import slow

pytest.importorskip("triton")
from adafuse_deploy.ops.triton.channels import compact_inputs, list_outputs
from adafuse_deploy.ops.triton.launch import convolve

KINDS = ("gated", "skipping", "both")
TOLERANCE = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def zeroed(policy: Tensor) -> Tensor:
    """Which channels of which frames a policy promises to be zero: (N * T, C, 1, 1)."""
    first = torch.zeros_like(policy, dtype=torch.bool)
    first[:, 0] = True
    return ((policy == SKIP) | ((policy == REUSE) & first)).flatten(0, 1)[:, :, None, None]


def check(
    kind: str,
    *,
    clips: int = 2,
    frames: int = 3,
    channels: tuple[int, int] = (20, 37),
    size: tuple[int, int] = (6, 7),
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, ...] = (1, 1),
    dtype: torch.dtype = torch.float32,
    layout: torch.memory_format = torch.channels_last,
    actions: tuple[int, ...] = (KEEP, REUSE, SKIP),
    tile: str | None = None,
) -> None:
    """Compare one convolution of random numbers with PyTorch's."""
    torch.manual_seed(0)
    channels_in, channels_out = channels

    def policy(width: int) -> Tensor:
        index = torch.randint(0, len(actions), (clips, frames, width))
        return torch.tensor(actions, dtype=torch.int32)[index]

    output = policy(channels_out) if kind != "skipping" else None
    promise = policy(channels_in) if kind != "gated" else None
    x = torch.randn(clips * frames, channels_in, *size).to(dtype)
    weight = (torch.randn(channels_out, channels_in, *kernel) / channels_in**0.5).to(dtype)
    bias = torch.randn(channels_out).to(dtype)
    read = x
    if promise is not None:
        # What is promised to be zero must not even be read.
        read = x.masked_fill(zeroed(promise), torch.nan)
        x = x.masked_fill(zeroed(promise), 0)
    y = convolve(
        read.contiguous(memory_format=layout),
        weight,
        bias,
        output,
        promise,
        list(stride),
        list(padding),
        tile,
    )
    top, left, bottom, right = padding if len(padding) == 4 else (*padding, *padding)
    raw = F.conv2d(
        F.pad(x.double(), (left, right, top, bottom)), weight.double(), bias.double(), stride
    )
    expected = raw
    if output is not None:
        expected = conv.fuse(raw, conv.previous_frame(raw, frames), output)
    assert y.dtype == dtype and y.is_contiguous(memory_format=layout)
    assert torch.equal(y == 0, expected.to(dtype) == 0)
    limit = TOLERANCE[dtype]
    torch.testing.assert_close(y.double(), expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_types_and_layouts(kind: str, layout: torch.memory_format, dtype: torch.dtype) -> None:
    check(kind, layout=layout, dtype=dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape",
    [
        slow(dict(kernel=(1, 1), padding=(0, 0), channels=(150, 70))),
        dict(kernel=(1, 1), padding=(0, 0), stride=(2, 2), size=(5, 8)),
        dict(kernel=(3, 3), stride=(2, 2), size=(9, 9)),
        slow(dict(kernel=(7, 7), stride=(2, 2), padding=(3, 3), channels=(3, 8))),
        dict(kernel=(2, 3), stride=(1, 2), padding=(0, 1, 1, 2)),
        dict(clips=1, frames=1),
        slow(dict(clips=3, frames=1, channels=(1, 1))),
        slow(dict(clips=1, frames=8, channels=(16, 16), size=(4, 4))),
        slow(dict(clips=1, frames=2, channels=(70, 300), size=(3, 3))),
        dict(clips=1, frames=2, channels=(4, 4), size=(12, 13)),
    ],
    ids=str,
)
def test_shapes(kind: str, shape: dict[str, Any]) -> None:
    check(kind, **shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", [KEEP, REUSE, SKIP])
def test_one_action_for_all(kind: str, action: int) -> None:
    check(kind, actions=(action,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", tiles.TILES)
@pytest.mark.parametrize("tile", tiles.TILES[16])
def test_tiles(kind: str, bits: int, tile: str) -> None:
    dtype = {16: torch.float16, 32: torch.float32}[bits]
    check(kind, tile=tile, dtype=dtype, size=(11, 13), clips=1, frames=2, kernel=(1, 1))


def test_no_frames() -> None:
    y = convolve(
        torch.empty(0, 4, 5, 5),
        torch.empty(6, 4, 3, 3),
        torch.empty(6),
        torch.empty(0, 2, 6, dtype=torch.int32),
        None,
        [1, 1],
        [1, 1],
    )
    assert y.shape == (0, 6, 5, 5)


def test_policy_may_be_a_slice() -> None:
    """Networks of parallel branches cut one gate's decisions into slices."""
    torch.manual_seed(0)
    policy = torch.randint(0, 3, (1, 4, 30), dtype=torch.int32)[:, :, 10:25]
    x, weight, bias = torch.randn(4, 5, 4, 4), torch.randn(15, 5, 1, 1), torch.randn(15)
    arguments = (x, weight, bias, policy, None, [1, 1], [0, 0])
    torch.testing.assert_close(convolve(*arguments), conv.gated_conv(*arguments))


@pytest.mark.parametrize("channels", [5, tiles.LIST_BLOCK, 2 * tiles.LIST_BLOCK + 3])
def test_outputs_are_listed_once_and_in_order(channels: int) -> None:
    torch.manual_seed(0)
    policy = torch.randint(0, 3, (2, 3, channels), dtype=torch.int32)
    lists = torch.empty(6, channels + 1, dtype=torch.int32)
    list_outputs[(6,)](policy, lists, 3, channels, BLOCK=tiles.LIST_BLOCK)
    needed = policy == KEEP
    needed[:, :-1] |= policy[:, 1:] == REUSE
    for row, entries in zip(needed.flatten(0, 1), lists, strict=True):
        wanted = row.nonzero()[:, 0].tolist()
        assert entries[0] == len(wanted) and entries[1 : 1 + entries[0]].tolist() == wanted


def test_inputs_are_compact_and_filled_up_with_zeros() -> None:
    torch.manual_seed(0)
    rows, pixels, channels, stride = 2, 5, 70, 128
    policy = torch.randint(0, 3, (1, rows, channels), dtype=torch.int32)
    x = torch.randn(rows, pixels, channels)
    compact = torch.full((rows, pixels, stride), torch.nan)
    lists = torch.empty(rows, channels + 1, dtype=torch.int32)
    compact_inputs[(1, rows)](
        *(x, policy, compact, lists, rows, channels, pixels, pixels * channels, channels, stride),
        CHANNELS_LAST=True,
        BLOCK_M=tiles.COMPACT_M,
        BLOCK_C=tiles.COMPACT_C,
        PADDING=tiles.PADDING,
    )
    promised = zeroed(policy)[:, :, 0, 0]
    for row in range(rows):
        wanted = (~promised[row]).nonzero()[:, 0]
        assert lists[row, 0] == len(wanted)
        assert torch.equal(lists[row, 1 : 1 + len(wanted)], wanted.int())
        assert torch.equal(compact[row, :, : len(wanted)], x[row][:, wanted])
        assert not compact[row, :, len(wanted) : tiles.PADDING].any()


def test_weights_are_packed_again_after_a_change() -> None:
    torch.manual_seed(0)
    policy = torch.zeros(1, 1, 4, dtype=torch.int32)
    x, weight, bias = torch.randn(1, 4, 3, 3), torch.randn(4, 4, 3, 3), torch.zeros(4)
    for promise in (None, policy, None):
        arguments = (x, weight, bias, policy, promise, [1, 1], [1, 1])
        torch.testing.assert_close(convolve(*arguments), conv.gated_conv(*arguments))
        weight *= 2


def test_network_decides_and_answers_the_same(
    tiny_model: Any, tiny_clips: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model.deployed()
    clips = torch.from_numpy(tiny_clips[:1])
    with torch.no_grad():
        expected = model(clips)
        monkeypatch.setattr(forward, "gated_conv", conv.gated_conv_on_gpu)
        monkeypatch.setattr(forward, "skip_conv", conv.skip_conv_on_gpu)
        output = model(clips)
    for ours, theirs in zip(output.policies, expected.policies, strict=True):
        assert torch.equal(ours, theirs)
    torch.testing.assert_close(output.logits, expected.logits, rtol=1e-4, atol=1e-5)


def test_other_types_are_left_to_pytorch() -> None:
    policy = torch.tensor([[[KEEP, REUSE]], [[SKIP, KEEP]]], dtype=torch.int32)
    x, weight = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 3, 3, 3).double()
    arguments = (x, weight, torch.zeros(2).double(), policy, None, [1, 1], [1, 1])
    assert torch.equal(conv.gated_conv_on_gpu(*arguments), conv.gated_conv(*arguments))

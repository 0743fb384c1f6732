"""Running a block's kernels on PyTorch tensors: on a GPU, or in Triton's interpreter."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.ops.triton.block.frames import Frames
from adafuse_deploy.ops.triton.block.plan import Block, Plan, SumsLayout, plan_block, plan_sums
from adafuse_deploy.ops.triton.block.tiles import Tile
from adafuse_deploy.ops.triton.block.weights import TYPES


def to_frames(x: Tensor, layout: Frames) -> Tensor:
    """Return feature maps (rows, C, H, W) as frames (rows, ``layout.size``)."""
    x = x.permute(0, 2, 3, 1)
    if layout.border:
        x = F.pad(x, (0, 0, 1, 0, 1, 1))
    flat = x.flatten(1)
    return F.pad(flat, (0, layout.size - flat.shape[1])).contiguous()


def from_frames(frames: Tensor, layout: Frames) -> Tensor:
    """Return frames (rows, ``layout.size``) as feature maps (rows, C, H, W)."""
    height, border = layout.height, int(layout.border)
    used = (height + 2 * border) * layout.pitch * layout.distance
    pixels = frames[:, :used].unflatten(1, (height + 2 * border, layout.pitch, layout.distance))
    return pixels[:, border : border + height, border:].permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Sums:
    """Sums over pixels for the next gate: rows as ``layout`` says, (rows, C) float32."""

    values: Tensor
    layout: SumsLayout


@dataclass(frozen=True)
class BlockOutput:
    """What a block gives.

    Attributes:
        frames: (N * T, size) of ``Block.output``.
        sums: of them.
        policy: int32 (N * T, C), None if every channel is kept.
    """

    frames: Tensor
    sums: Sums
    policy: Tensor | None


def sum_frames(x: Tensor, layout: Frames) -> Sums:
    """Sum frames (rows, size) over pixels, for the gate of a network's first block."""
    plan = plan_sums(layout, len(x))
    assert plan.sums is not None
    return Sums(_execute(plan, {"x": x}, x)["sums"], plan.sums)


def run_block(
    block: Block,
    weights: Mapping[str, Tensor],
    x: Tensor,
    size: tuple[int, int],
    frames: int,
    policy: Tensor | None = None,
    sums: Sums | None = None,
    scales: tuple[float, float] = (1.0, 1.0),
    choice: Mapping[str, Tile] | None = None,
    fill: float | None = None,
) -> BlockOutput:
    """Run a residual block.

    Args:
        block: what it is.
        weights: of :func:`.weights.pack_block`, and of :func:`.weights.pack_gate` for a gate.
        x: (N * T, size) of ``block.input``, in the block's type.
        size: height and width of ``x``.
        frames: T.
        policy: int32 (N * T, C), if the block is gated without a gate of its own.
        sums: of ``x``, for its gate.
        scales: in int8, the steps of its input and its output.
        choice: tiles by kernel, instead of those chosen by shapes.
        fill: what buffers hold before they are written (tests: NaN).

    Raises:
        InputError: shapes or types do not fit, or are more than the kernels take.
    """
    if frames < 1 or len(x) % frames:
        raise InputError(f"{len(x)} frames are no whole clips of {frames} frames.")
    layout = block.input(*size)
    if x.shape[1:] != (layout.size,) or x.dtype != TYPES[block.dtype]:
        raise InputError(
            f"The block takes frames of {layout.size} elements in {block.dtype}, not of "
            f"{list(x.shape[1:])} in {x.dtype}."
        )
    given = {**weights, "x": x.contiguous()}
    if block.hidden:
        if sums is None:
            raise InputError("The block's gate needs the sums of its input over pixels.")
        given["x_sums"] = sums.values
    elif not block.gated:
        given["policy"] = torch.zeros(1, block.channels, dtype=torch.int32, device=x.device)
    else:
        wanted = (len(x), block.channels)
        if policy is None or policy.shape != wanted or policy.dtype != torch.int32:
            raise InputError(f"The block takes a policy of int32 {list(wanted)}.")
        given["policy"] = policy.contiguous()
    plan = plan_block(
        block, *size, len(x) // frames, frames, sums.layout if sums else None, choice, scales[0]
    )
    assert plan.sums is not None
    filled = _execute(plan, given, x, {"residual_scale": scales[0] / scales[1]}, fill)
    decided = filled.get("policy", policy) if block.gated else None
    return BlockOutput(filled["y"], Sums(filled["sums"], plan.sums), decided)


def _execute(
    plan: Plan,
    given: Mapping[str, Tensor],
    like: Tensor,
    numbers: Mapping[str, float] | None = None,
    fill: float | None = None,
) -> dict[str, Tensor]:
    """Launch a plan; return its buffers."""
    types = {"fp32": torch.float32, "int32": torch.int32, "stored": like.dtype}
    made = {
        name: torch.empty(shape, dtype=types[kind], device=like.device)
        for name, (shape, kind) in plan.buffers.items()
    }
    if fill is not None:
        for buffer in made.values():
            buffer.fill_(fill if buffer.is_floating_point() else -1)
    known = {**given, **made, **(numbers or {})}
    for launch in plan.launches:
        module = importlib.import_module(f"adafuse_deploy.ops.triton.block.{launch.kernel[0]}")
        arguments = {
            # Parameters that a variant does not read, a shortcut's for instance, are null.
            name: known.get(value) if isinstance(value, str) else value
            for name, value in launch.arguments.items()
        }
        getattr(module, launch.kernel[1])[launch.grid](
            **arguments, **launch.constants, num_warps=launch.warps, num_stages=launch.stages
        )
    return made

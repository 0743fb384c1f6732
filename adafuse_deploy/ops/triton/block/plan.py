"""Launches of one residual block: kernels, grids, arguments and buffers, a pure function of shapes.

Everything but addresses is known before a frame arrives; the host never learns what a policy says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.sizes import ceil_div, round_up
from adafuse_deploy.ops.triton.block import tiles
from adafuse_deploy.ops.triton.block.frames import (
    BYTES,
    Frames,
    compact_frames,
    unit,
)
from adafuse_deploy.ops.triton.block.tiles import Tile

COUNTS = 16
"""Numbers at the beginning of a frame's record, before its lists."""

K_FILL = 64
"""Lists of inputs are filled up to a multiple of this; every BLOCK_K divides it."""

GATE_ROWS = 16
"""Frames that a program of the gate takes together."""

LIST_ROWS = 2
"""Frames whose lists are written together."""

LARGEST_GRID = 65535
"""Programs along a grid's second and third axis."""


@dataclass(frozen=True)
class Shift:
    """A temporal shift, none by default.

    Channels below ``forward`` come from the next frame, those from there to
    ``backward`` from the one before.
    """

    forward: int = 0
    backward: int = 0

    @classmethod
    def of(cls, kind: str, channels: int, div: int = 8) -> Shift:
        """Return the shift "none", "bidirectional" or "online" of 1 / div of the channels."""
        fold = channels // div
        return {"none": cls(), "bidirectional": cls(fold, 2 * fold), "online": cls(0, fold)}[kind]


@dataclass(frozen=True)
class SumsLayout:
    """Sums over pixels that a kernel left: rows of (tiles, segments) per channel.

    Tiles of ``tile_pixels`` run over frames of ``pixels`` pixels one after another; segment s of a
    tile belongs to its first frame + s.
    """

    pixels: int
    tile_pixels: int
    segments: int = 1

    def tiles(self) -> int:
        """Return how many tiles a frame can have a part in."""
        whole = self.pixels % self.tile_pixels == 0
        count = ceil_div(self.pixels, self.tile_pixels)
        return count if whole else (self.pixels + self.tile_pixels - 2) // self.tile_pixels + 1

    def rows(self, frames: int) -> int:
        """Return the rows of ``frames`` frames."""
        return ceil_div(frames * self.pixels, self.tile_pixels) * self.segments


@dataclass(frozen=True)
class Block:
    """A residual block as its kernels see it.

    Attributes:
        kind: "bottleneck" or "basic".
        channels_in, channels, channels_out: of its input, of the gated convolution, of its output.
        stride: of its 3x3 convolution, the first one of a basic block, and of the shortcut.
        project: whether there is a convolution on the shortcut.
        shift: the temporal shift of its input.
        shift_shortcut: whether that convolution reads the shifted input.
        gated: whether the policy decides, or every channel is kept.
        hidden: units of the gate; 0 if the policy is given.
        history: whether the gate reads the previous frame's features.
        relu: whether a ReLU follows the hidden layer.
        actions: of the gate's logits, in their order.
        dtype: of feature maps and weights: "fp16", "bf16", "fp32" or "int8".
        gate_dtype: of the gate's weights.
    """

    kind: str
    channels_in: int
    channels: int
    channels_out: int
    stride: int = 1
    project: bool = False
    shift: Shift = Shift()
    shift_shortcut: bool = True
    gated: bool = True
    hidden: int = 0
    history: bool = True
    relu: bool = True
    actions: tuple[int, ...] = (0, 1, 2)
    dtype: str = "fp16"
    gate_dtype: str = "fp16"

    def __post_init__(self) -> None:
        for name in ("channels_in", "channels", "channels_out"):
            count = getattr(self, name)
            if count % unit(self.dtype) or count <= 0:
                raise InputError(
                    f"Block kernels in {self.dtype} take numbers of channels that are multiples of "
                    f"{unit(self.dtype)}, which {name} = {count} is not; run this block by its "
                    "convolutions."
                )
        if self.channels >= 1024:
            raise InputError(
                f"Block kernels list less than 1024 channels, not {self.channels}; run this block "
                "by its convolutions."
            )

    @property
    def border(self) -> bool:
        """Whether the frames that it reads and gives have a border."""
        return self.kind == "basic"

    def input(self, height: int, width: int) -> Frames:
        """Return the frames that it reads."""
        return Frames(height, width, self.channels_in, self.border)

    def output(self, height: int, width: int) -> Frames:
        """Return the frames that it gives for an input of ``height`` x ``width``."""
        height, width = (height - 1) // self.stride + 1, (width - 1) // self.stride + 1
        return Frames(height, width, self.channels_out, self.border)


@dataclass(frozen=True)
class Launch:
    """One kernel launch.

    Attributes:
        kernel: module of this folder and function.
        grid: programs per axis.
        arguments: by parameter: names of buffers and weights, or numbers.
        constants: compile-time parameters.
    """

    kernel: tuple[str, str]
    grid: tuple[int, ...]
    arguments: Mapping[str, str | int | float]
    constants: Mapping[str, Any]
    warps: int = 4
    stages: int = 1


@dataclass
class Plan:
    """Launches in order, and the buffers that they write: shape and type, "stored" as the block's.

    Of the buffers ``y``, ``sums`` and ``policy`` are results, the others a workspace.
    """

    launches: list[Launch] = field(default_factory=list)
    buffers: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    sums: SumsLayout | None = None


def sums_of_block(y: Frames, rows: int, dtype: str) -> SumsLayout:
    """Return how a block leaves the sums of its output, ``rows`` frames ``y``."""
    pixels, bits = y.height * y.width, 8 * BYTES[dtype]
    if y.border:
        return _sums_within(pixels, tiles.choose(bits, "inputs", pixels, y.distance, rows))
    return _sums_across(pixels, tiles.choose(bits, "last", rows * pixels, y.distance, 1))


def _sums_within(pixels: int, tile: Tile) -> SumsLayout:
    """Sums of tiles that lie within frames."""
    return SumsLayout(round_up(pixels, tile.block_m), tile.block_m)


def _sums_across(pixels: int, tile: Tile) -> SumsLayout:
    """Sums of tiles that run over all frames."""
    return SumsLayout(pixels, tile.block_m, (tile.block_m - 2) // pixels + 2)


def plan_sums(frames: Frames, rows: int) -> Plan:
    """Return the launch that sums frames ``x`` over pixels for the first block's gate."""
    pixels, channels = frames.height * frames.width, frames.distance
    block_m, steps = 32, 8
    count = ceil_div(pixels, block_m * steps)
    sums = SumsLayout(count * block_m * steps, block_m * steps)
    launch = Launch(
        ("gate", "sum_frames"),
        (ceil_div(channels, 64), count, rows),
        {
            "x": "x",
            "sums": "sums",
            "channels": channels,
            "width": frames.width,
            "pixels": pixels,
            "pitch": frames.pitch,
            "first": frames.first,
            "frame": frames.size,
        },
        {"BLOCK_M": block_m, "BLOCK_N": 64, "STEPS": steps},
    )
    return Plan([launch], {"sums": ((sums.rows(rows), channels), "fp32")}, sums)


def plan_block(
    block: Block,
    height: int,
    width: int,
    clips: int,
    frames: int,
    sums: SumsLayout | None = None,
    choice: Mapping[str, Tile] | None = None,
    pooled_scale: float = 1.0,
) -> Plan:
    """Return how ``clips`` clips of ``frames`` frames of ``height`` x ``width`` go through a block.

    Args:
        sums: what ``x_sums`` is, if the block has a gate.
        choice: tiles by kernel, instead of those chosen by shapes.
        pooled_scale: the unit of the sums, of a quantised input.
    """
    planner = _Planner(block, height, width, clips, frames, choice or {})
    if block.hidden:
        assert sums is not None
        planner.gate(sums, pooled_scale)
    else:
        planner.lists()
    planner.first()
    if block.kind == "bottleneck":
        planner.middle()
        planner.last()
    else:
        planner.end()
    return planner.plan


class _Planner:
    """Appends launches and buffers to a plan."""

    def __init__(
        self,
        block: Block,
        height: int,
        width: int,
        clips: int,
        frames: int,
        choice: Mapping[str, Tile],
    ) -> None:
        self.block, self.frames, self.rows, self.choice = block, frames, clips * frames, choice
        self.plan = Plan()
        self.unit = unit(block.dtype)
        self.bits = 8 * BYTES[block.dtype]
        self.x, self.y = block.input(height, width), block.output(height, width)
        inner = self.x if block.kind == "bottleneck" else self.y
        self.compact = compact_frames(inner.height, inner.width, block.channels, block.dtype)
        # A dense block has one record for all frames.
        self.inputs_at = COUNTS + round_up(block.channels + 2 * self.unit, 16)
        self.record = self.inputs_at + round_up(block.channels + 2 * self.unit, K_FILL)
        self.list_stride = self.record if block.gated else 0
        if max(self.x.size, self.y.size, self.compact.size) >= 2**31:
            raise InputError(
                f"Frames of {height} x {width} are too large for the block kernels' 32-bit "
                "distances; use smaller ones."
            )
        if self.rows > LARGEST_GRID:
            raise InputError(
                f"{clips} clips of {frames} frames are too many for one launch; use batches of at "
                f"most {LARGEST_GRID // frames} clips."
            )

    def gate(self, sums: SumsLayout, pooled_scale: float) -> None:
        block, rows = self.block, self.rows
        length = block.channels_in * (2 if block.history else 1)
        splits = max(1, min(8, length // 256))
        group_clips = max(1, GATE_ROWS // self.frames)
        group_rows = group_clips * self.frames
        groups = ceil_div(rows, group_rows)
        block_n = 64
        self.plan.buffers |= {
            "partial": ((splits, rows, block.hidden), "fp32"),
            "arrivals": ((groups,), "int32"),
            "policy": ((rows, block.channels), "int32"),
            "lists": ((rows, self.record), "int32"),
        }
        pixels = self.x.height * self.x.width
        self.plan.launches += [
            Launch(
                ("gate", "gate_hidden"),
                (ceil_div(block.hidden, block_n), ceil_div(rows, GATE_ROWS), splits),
                {
                    "sums": "x_sums",
                    "weight": "gate_weight0",
                    "partial": "partial",
                    "arrivals": "arrivals",
                    "rows": rows,
                    "frames": self.frames,
                    "channels_in": block.channels_in,
                    "hidden": block.hidden,
                    **self._folds(),
                    "pixels": sums.pixels,
                    "tile_pixels": sums.tile_pixels,
                    "tiles": sums.tiles(),
                    "segments": sums.segments,
                    "groups": groups,
                    "factor": pooled_scale / pixels,
                },
                {
                    "HISTORY": block.history,
                    **self._shift(True),
                    "BLOCK_M": GATE_ROWS,
                    "BLOCK_N": block_n,
                    "BLOCK_K": 64,
                },
                stages=3,
            ),
            Launch(
                ("gate", "gate_policy"),
                (ceil_div(block.channels, 16), ceil_div(group_rows, GATE_ROWS), groups),
                {
                    "partial": "partial",
                    "scale_hidden": "gate_scale0",
                    "bias_hidden": "gate_bias0",
                    "weight": "gate_weight1",
                    "scale": "gate_scale1",
                    "bias": "gate_bias1",
                    "policy": "policy",
                    "arrivals": "arrivals",
                    "lists": "lists",
                    "rows": rows,
                    "frames": self.frames,
                    "hidden": block.hidden,
                    "channels": block.channels,
                    "splits": splits,
                    "group_rows": group_rows,
                    # A gate of two actions never chooses the third: its bias is -inf.
                    **{f"action{i}": (*block.actions, 0)[i] for i in range(3)},
                    "list_stride": self.record,
                    "inputs_at": self.inputs_at,
                },
                {
                    "RELU": block.relu,
                    "INT8": block.gate_dtype == "int8",
                    "UNIT": self.unit,
                    "BLOCK_M": GATE_ROWS,
                    "BLOCK_N": 16,
                    "BLOCK_K": 64,
                    "BLOCK_R": LIST_ROWS,
                    "BLOCK": _power_of_2(block.channels),
                },
                stages=3,
            ),
        ]

    def lists(self) -> None:
        block = self.block
        rows = self.rows if block.gated else 1
        self.plan.buffers["lists"] = ((rows, self.record), "int32")
        launch = Launch(
            ("lists", "channel_lists"),
            (ceil_div(rows, LIST_ROWS),),
            {
                "policy": "policy",
                "lists": "lists",
                "rows": rows,
                "frames": self.frames if block.gated else 1,
                "channels": block.channels,
                "list_stride": self.record,
                "inputs_at": self.inputs_at,
            },
            {"UNIT": self.unit, "BLOCK_R": LIST_ROWS, "BLOCK": _power_of_2(block.channels)},
        )
        self.plan.launches.append(launch)

    def first(self) -> None:
        block, compact = self.block, self.compact
        pixels = compact.height * compact.width
        columns = block.channels + (self.unit if block.gated else 0)
        tile = self._tile("outputs", pixels, block.channels // 2, self.rows)
        self.plan.buffers["compact"] = ((self.rows, compact.size), "stored")
        taps = 1 if block.kind == "bottleneck" else 9
        self._append(
            ("listed_outputs", "conv_listed_outputs"),
            (ceil_div(columns, tile.block_n), ceil_div(pixels, tile.block_m) + 1, self.rows),
            {
                "x": "x",
                **self._weights(1),
                "compact": "compact",
                "lists": "lists",
                "frames": self.frames,
                "channels_in": block.channels_in,
                **self._folds(),
                "height": compact.height,
                "width": compact.width,
                "x_pitch": self.x.pitch,
                "x_frame": self.x.size,
                "compact_distance": compact.distance,
                "compact_frame": compact.size,
                "list_stride": self.list_stride,
            },
            {
                "TAPS": taps,
                "STRIDE": 1 if taps == 1 else block.stride,
                **self._shift(True),
                "UNIT": self.unit,
                "EVEN": block.channels_in % tile.block_k == 0,
            },
            tile,
        )

    def middle(self) -> None:
        block, y = self.block, self.y
        pixels = y.height * y.width
        tile = self._tile("inputs", pixels, block.channels, self.rows)
        self.plan.buffers["middle"] = ((self.rows, pixels * block.channels), "stored")
        self._append(
            ("listed_inputs", "conv_listed_inputs"),
            (ceil_div(block.channels, tile.block_n), ceil_div(pixels, tile.block_m), self.rows),
            {
                "compact": "compact",
                **self._weights(2),
                "y": "middle",
                "lists": "lists",
                "channels": block.channels,
                "height": y.height,
                "width": y.width,
                "pitch": self.compact.pitch,
                "distance": self.compact.distance,
                "compact_frame": self.compact.size,
                "inputs_at": self.inputs_at,
                "list_stride": self.list_stride,
            },
            {
                "STRIDE": block.stride,
                "UNIT": self.unit,
                "EVEN": block.channels % tile.block_n == 0,
            },
            tile,
        )

    def last(self) -> None:
        block, y = self.block, self.y
        pixels = y.height * y.width
        tile = self._tile("last", self.rows * pixels, block.channels_out, 1)
        sums = _sums_across(pixels, tile)
        self._results(sums)
        self._append(
            ("last", "conv_last"),
            (
                ceil_div(block.channels_out, tile.block_n),
                ceil_div(self.rows * pixels, tile.block_m),
            ),
            {
                "x": "x",
                "middle": "middle",
                **self._weights(3),
                **self._shortcut(),
                "frames": self.frames,
                "channels_in": block.channels_in,
                **self._folds(),
                "channels": block.channels,
                "channels_out": block.channels_out,
                "width_in": self.x.width,
                "width": y.width,
                "pixels": pixels,
                "all_pixels": self.rows * pixels,
                "x_frame": self.x.size,
                "segments": sums.segments,
                "residual_scale": "residual_scale",
            },
            {
                "STRIDE": block.stride,
                "PROJECT": block.project,
                **self._shift(block.project and block.shift_shortcut),
                "SLOTS": _power_of_2(sums.segments),
                "EVEN": self._even(tile),
            },
            tile,
        )

    def end(self) -> None:
        block, y = self.block, self.y
        pixels = y.height * y.width
        tile = self._tile("inputs", pixels, block.channels, self.rows)
        count = ceil_div(pixels, tile.block_m)
        self._results(_sums_within(pixels, tile))
        self._append(
            ("listed_inputs", "conv_listed_inputs_end"),
            (ceil_div(block.channels, tile.block_n), count + 1, self.rows),
            {
                "compact": "compact",
                **self._weights(2),
                "x": "x",
                **self._shortcut(),
                "lists": "lists",
                "frames": self.frames,
                "channels_in": block.channels_in,
                **self._folds(),
                "channels": block.channels,
                "height": y.height,
                "width": y.width,
                "distance": self.compact.distance,
                "compact_frame": self.compact.size,
                "inputs_at": self.inputs_at,
                "list_stride": self.list_stride,
                "x_pitch": self.x.pitch,
                "x_frame": self.x.size,
                "residual_scale": "residual_scale",
            },
            {
                "STRIDE": block.stride,
                "PROJECT": block.project,
                **self._shift(block.project and block.shift_shortcut),
                "UNIT": self.unit,
                "EVEN": self._even(tile),
            },
            tile,
        )

    def _results(self, sums: SumsLayout) -> None:
        self.plan.sums = sums
        self.plan.buffers["y"] = ((self.rows, self.y.size), "stored")
        shape = (sums.rows(self.rows), self.block.channels_out)
        self.plan.buffers["sums"] = (shape, "fp32")

    def _append(
        self,
        kernel: tuple[str, str],
        grid: tuple[int, ...],
        arguments: dict[str, str | int | float],
        constants: dict[str, Any],
        tile: Tile,
    ) -> None:
        if len(grid) > 1 and max(grid[1:]) > LARGEST_GRID:
            raise InputError(
                f"{self.rows} frames of {self.x.height} x {self.x.width} are too many for one "
                "launch; use smaller batches."
            )
        constants |= {"INT8": self.block.dtype == "int8"}
        constants |= dict(BLOCK_M=tile.block_m, BLOCK_N=tile.block_n, BLOCK_K=tile.block_k)
        self.plan.launches.append(
            Launch(kernel, grid, arguments, constants, tile.warps, tile.stages)
        )

    def _tile(self, kernel: str, pixels: int, columns: int, frames: int) -> Tile:
        if kernel in self.choice:
            return self.choice[kernel]
        return tiles.choose(self.bits, kernel, pixels, columns, frames)

    def _even(self, tile: Tile) -> bool:
        block = self.block
        project = not block.project or block.channels_in % tile.block_k == 0
        inner = block.kind == "basic" or block.channels % tile.block_k == 0
        return block.channels_out % tile.block_n == 0 and inner and project

    def _weights(self, index: int) -> dict[str, str]:
        return {name: f"{name}{index}" for name in ("weight", "scale", "bias")}

    def _shortcut(self) -> dict[str, str]:
        return {
            "shortcut": "shortcut",
            "shortcut_scale": "shortcut_scale",
            "y": "y",
            "sums": "sums",
        }

    def _fold(self) -> int:
        """Channels that shifts are counted in: whole loads where that is possible."""
        shift = self.block.shift
        sizes = (self.unit, 8) if self.unit > 8 else (8,)
        fits = (n for n in sizes if shift.forward % n == 0 and shift.backward % n == 0)
        return next(fits, 1)

    def _folds(self) -> dict[str, int]:
        shift, fold = self.block.shift, self._fold()
        return {"forward": shift.forward // fold, "backward": shift.backward // fold}

    def _shift(self, used: bool) -> dict[str, Any]:
        return {"SHIFT": used and self.block.shift.backward > 0, "FOLD": self._fold()}


def _power_of_2(number: int) -> int:
    """Return the smallest power of 2 from 16 on that is not less than ``number``."""
    return max(16, 1 << (number - 1).bit_length())

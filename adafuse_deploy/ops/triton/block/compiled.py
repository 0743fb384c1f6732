"""Which residual blocks the kernels that are compiled ahead of time serve."""

from __future__ import annotations

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.ops.triton.block.frames import BYTES
from adafuse_deploy.ops.triton.block.plan import Block, plan_block, plan_sums, sums_of_block
from adafuse_deploy.ops.triton.block.tiles import KERNELS, TILES

CHANNELS = (64, 128, 256, 512)
"""Widths of lists."""

CHANNEL_STEP = 64
"""Channels that a step of every tile takes."""

FOLD = 8
"""Channels that a temporal shift moves are a multiple of this."""

SEGMENTS = 16
"""Frames that a tile of a bottleneck's last convolution can have pixels of."""

HIDDEN = 16
"""Hidden units of a gate are a multiple of this."""


def why_not(block: Block, height: int, width: int, clips: int, frames: int) -> str | None:
    """Return what keeps a block from the compiled kernels, as the end of a sentence, or None.

    Args:
        block: gated.
        height, width: of its input.
        clips: the largest batch.
        frames: T.
    """
    tiles = TILES[8 * BYTES[block.dtype]]
    columns = {tile.block_n for kernel in KERNELS for tile in tiles[kernel].values()}
    channels = block.channels
    if block.channels_in % CHANNEL_STEP or channels % CHANNEL_STEP or channels > max(CHANNELS):
        return (
            f"numbers of channels are multiples of {CHANNEL_STEP}, and at most {max(CHANNELS)} "
            "inside a block"
        )
    for outputs in (channels, block.channels_out):
        if any(outputs > column and outputs % column for column in columns):
            return f"{outputs} outputs fill no tiles of {max(columns)}"
    if block.kind == "basic" and block.project and block.stride == 1:
        return "a basic block with a convolution on its shortcut has stride 2"
    if block.shift.forward % FOLD or block.shift.backward % FOLD:
        return f"temporal shifts move multiples of {FOLD} channels"
    if block.hidden % HIDDEN:
        return f"gates have multiples of {HIDDEN} hidden units, not {block.hidden}"
    if block.hidden and not (block.history and block.relu):
        return "gates look at the frame before, and a ReLU follows their hidden layer"
    out = block.output(height, width)
    pixels = max(tile.block_m for tile in tiles["last"].values())
    if not out.border and 2 + (pixels - 2) // (out.height * out.width) > SEGMENTS:
        return f"frames of {out.height} x {out.width} are too small"
    sums = None
    try:
        if block.hidden:
            x = block.input(height, width)
            plan_sums(x, clips * frames)
            sums = sums_of_block(x, clips * frames, block.dtype)
        plan_block(block, height, width, clips, frames, sums)
    except InputError as error:
        return str(error).rstrip(".")
    return None

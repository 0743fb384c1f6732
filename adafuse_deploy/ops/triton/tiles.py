"""Which tile sizes exist and which one a convolution gets: a plain function of its shape.

No autotuning: kernels that are compiled ahead of time must be known, and a program in any language
can follow the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from adafuse_deploy.core.sizes import ceil_div

PADDING = 64
"""Compact inputs are filled up with zeros to a multiple of this; every BLOCK_K divides it."""

LIST_BLOCK = 256
"""Channels that ``list_outputs`` looks at together."""

COMPACT_M, COMPACT_C = 32, 64
"""Pixels and channels that ``compact_inputs`` moves together."""

PACK_BLOCK = 1024
"""Weights that a program of ``pack_weights`` moves."""

HELPER_WARPS = 4
"""Warps of every kernel but the convolution."""


@dataclass(frozen=True)
class Tile:
    """Sizes of one program of ``conditional_conv``: pixels, output channels, input channels."""

    block_m: int
    block_n: int
    block_k: int
    warps: int
    _stages: int

    def stages(self, skipping: bool) -> int:
        """Return Triton's ``num_stages``.

        The addresses of gathered rows are loaded themselves, so a pipeline as deep takes twice the
        stages, except that the last one is shared.
        """
        return 2 * self._stages - 1 if skipping else self._stages


# At most 50 KiB of shared memory: two programs fit into the 99 KiB of compute capabilities 8.6, 8.9
# and 12.0.  float32 takes half the block_k, because three products need more registers.
TILES = {
    16: {
        "wide": Tile(128, 64, 32, 4, 4),
        "square": Tile(64, 64, 64, 4, 3),
        "narrow": Tile(64, 32, 64, 4, 4),
    },
    32: {
        "wide": Tile(128, 64, 16, 8, 4),
        "square": Tile(64, 64, 16, 4, 4),
        "narrow": Tile(64, 32, 16, 4, 4),
    },
}
"""By bits of an element, then by name."""


def choose_tile(pixels: int, channels: int, frames: int) -> str:
    """Return the name of the tile for a convolution.

    The largest one that leaves programs enough to fill a GPU (two for each of about 100
    multiprocessors) and few pixels of a tile unused.

    Args:
        pixels: H' * W'.
        channels: Cout, computed or not.
        frames: N * T.
    """
    columns = frames * ceil_div(channels, 64)
    if pixels >= 512 and columns * ceil_div(pixels, 128) >= 200:
        return "wide"
    if columns * ceil_div(pixels, 64) >= 200:
        return "square"
    return "narrow"

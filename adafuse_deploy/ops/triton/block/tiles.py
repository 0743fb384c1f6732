"""Sizes of the programs of block kernels, a plain function of shapes."""

from __future__ import annotations

from dataclasses import dataclass

from adafuse_deploy.core.sizes import ceil_div


@dataclass(frozen=True)
class Tile:
    """One program: pixels, output channels, input channels of a step, warps, pipeline stages."""

    block_m: int
    block_n: int
    block_k: int
    warps: int
    stages: int


KERNELS = ("outputs", "inputs", "last")
"""Convolutions with listed outputs, with listed inputs, and with neither."""

# At most 99 KiB of shared memory, which compute capabilities 8.6, 8.9 and 12.0 have; no spills.
_HALF = {
    "large": Tile(128, 128, 64, 8, 3),
    "wide": Tile(128, 64, 64, 4, 4),
    "square": Tile(64, 64, 64, 4, 4),
}
TILES = {
    16: {
        "outputs": _HALF,
        "inputs": {**_HALF, "wide": Tile(128, 64, 64, 4, 5), "square": Tile(64, 64, 64, 4, 5)},
        "last": {**_HALF, "wide": Tile(128, 64, 64, 4, 3), "square": Tile(64, 64, 64, 4, 3)},
    },
    32: {kernel: {"square": Tile(64, 64, 16, 4, 3)} for kernel in KERNELS},
    8: {
        kernel: {"large": Tile(128, 128, 64, 8, 3), "square": Tile(64, 64, 64, 4, 4)}
        for kernel in KERNELS
    },
}
"""By bits of an element, kernel and name, from large to small."""

FILL = 200
"""Programs that are enough for a GPU: two for each of about 100 multiprocessors."""


def choose(bits: int, kernel: str, pixels: int, columns: int, frames: int) -> Tile:
    """Return the largest tile that leaves programs enough and half of a tile's pixels in use.

    Args:
        pixels: of a frame where tiles lie within frames, else of all of them.
        columns: output channels that are expected.
        frames: N * T where tiles lie within frames, else 1.
    """
    tiles = list(TILES[bits][kernel].values())
    for tile in tiles[:-1]:
        programs = frames * ceil_div(pixels, tile.block_m) * ceil_div(columns, tile.block_n)
        if columns >= tile.block_n and 2 * pixels >= 3 * tile.block_m // 2 and programs >= FILL:
            return tile
    return tiles[-1]

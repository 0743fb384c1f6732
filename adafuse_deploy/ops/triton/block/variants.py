"""Which block kernels are compiled ahead of time: for ResNets whose channels fill the tiles."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from adafuse_deploy.ops.triton.block.compiled import CHANNELS, FOLD, SEGMENTS
from adafuse_deploy.ops.triton.block.frames import BYTES, unit
from adafuse_deploy.ops.triton.block.plan import GATE_ROWS, LIST_ROWS
from adafuse_deploy.ops.triton.block.tiles import TILES, Tile
from adafuse_deploy.ops.triton.variant import Variant

GRIDS = {
    "channel_lists": ("ceil(rows / BLOCK_R)",),
    "sum_frames": ("ceil(channels / BLOCK_N)", "ceil(pixels / (STEPS * BLOCK_M))", "N * T"),
    "gate_hidden": ("ceil(hidden / BLOCK_N)", "ceil(rows / BLOCK_M)", "splits"),
    "gate_policy": ("ceil(channels / BLOCK_N)", "ceil(group_rows / BLOCK_M)", "groups"),
    "conv_listed_outputs": (
        "ceil((channels_out + UNIT) / BLOCK_N)",
        "ceil(height * width / BLOCK_M) + 1",
        "N * T",
    ),
    "conv_listed_inputs": (
        "ceil(channels / BLOCK_N)",
        "ceil(height * width / BLOCK_M)",
        "N * T",
    ),
    "conv_listed_inputs_end": (
        "ceil(channels / BLOCK_N)",
        "ceil(height * width / BLOCK_M) + 1",
        "N * T",
    ),
    "conv_last": ("ceil(channels_out / BLOCK_N)", "ceil(all_pixels / BLOCK_M)"),
}

STORED = ("x", "compact", "middle", "y", "weight", "shortcut")
FLOATS = ("scale", "bias", "shortcut_scale", "sums", "partial", "scale_hidden", "bias_hidden")
NUMBERS = ("policy", "lists", "arrivals")

# Multiples of 16, as pointers are of 16 bytes.
ALIGNED = {
    *("channels_in", "channels", "channels_out", "hidden", "x_frame", "frame"),
    *("compact_distance", "distance", "compact_frame", "list_stride", "inputs_at"),
    *(*STORED, *FLOATS, *NUMBERS),
}


def block_variants(dtypes: Sequence[str], gate_dtypes: Sequence[str]) -> Iterator[Variant]:
    """Yield the block kernels for feature maps and gates' weights of these types."""
    for dtype in dtypes:
        yield _variant("gate", "sum_frames", dtype, {"BLOCK_M": 32, "BLOCK_N": 64, "STEPS": 8})
        for channels in CHANNELS:
            constants = {"UNIT": unit(dtype), "BLOCK_R": LIST_ROWS, "BLOCK": channels}
            yield _variant("lists", "channel_lists", dtype, constants)
        yield from _convolutions(dtype)
    for dtype in gate_dtypes:
        for shift in (False, True):
            sizes = {"BLOCK_M": GATE_ROWS, "BLOCK_N": 64, "BLOCK_K": 64}
            constants = {"HISTORY": True, "SHIFT": shift, "FOLD": FOLD, **sizes}
            yield _variant("gate", "gate_hidden", dtype, constants, stages=3)
        units = sorted({unit(stored) for stored in dtypes})
        for units_of, channels in product(units, CHANNELS):
            constants = {
                **{"RELU": True, "INT8": dtype == "int8", "UNIT": units_of},
                **{"BLOCK_M": GATE_ROWS, "BLOCK_N": 16, "BLOCK_K": 64},
                **{"BLOCK_R": LIST_ROWS, "BLOCK": channels},
            }
            yield _variant("gate", "gate_policy", dtype, constants, stages=3)


def _convolutions(dtype: str) -> Iterator[Variant]:
    common = {"EVEN": True, "INT8": dtype == "int8"}
    tiles = TILES[8 * BYTES[dtype]]
    folds = (FOLD, 16) if dtype == "int8" else (FOLD,)
    for tile, fold, shift in product(tiles["outputs"].values(), folds, (False, True)):
        if fold == 16 and not shift:
            continue
        for taps, stride in ((1, 1), (9, 1), (9, 2)):
            constants = {"TAPS": taps, "STRIDE": stride, "SHIFT": shift, "FOLD": fold}
            constants |= {"UNIT": unit(dtype), **common}
            yield _tiled("listed_outputs", "conv_listed_outputs", dtype, constants, tile)
    for tile, stride in product(tiles["inputs"].values(), (1, 2)):
        constants = {"STRIDE": stride, "UNIT": unit(dtype), **common}
        yield _tiled("listed_inputs", "conv_listed_inputs", dtype, constants, tile)
    ends = [(False, False), (True, False), (True, True)]  # project, shift
    for tile, (project, shift) in product(tiles["last"].values(), ends):
        for stride in (1, 2) if project else (1,):
            constants = {"STRIDE": stride, "PROJECT": project, "SHIFT": shift, "FOLD": FOLD}
            yield _tiled("last", "conv_last", dtype, constants | {"SLOTS": SEGMENTS} | common, tile)
    for tile, (project, shift) in product(tiles["inputs"].values(), ends):
        constants = {"STRIDE": 1 + project, "PROJECT": project, "SHIFT": shift, "FOLD": FOLD}
        constants |= {"UNIT": unit(dtype), **common}
        yield _tiled("listed_inputs", "conv_listed_inputs_end", dtype, constants, tile)


def _tiled(module: str, kernel: str, dtype: str, constants: dict[str, Any], tile: Tile) -> Variant:
    sizes = {"BLOCK_M": tile.block_m, "BLOCK_N": tile.block_n, "BLOCK_K": tile.block_k}
    return _variant(module, kernel, dtype, constants | sizes, tile.warps, tile.stages)


def name_of(kernel: str, dtype: str, constants: dict[str, Any]) -> str:
    """Return a variant's name: what a launch asks for."""
    tile = "x".join(
        str(constants[f"BLOCK_{axis}"]) for axis in "MNK" if f"BLOCK_{axis}" in constants
    )
    marks = {
        "TAPS": "taps{}",
        "STRIDE": "stride{}",
        "UNIT": "unit{}",
        "FOLD": "fold{}",
        "BLOCK": "channels{}",
    }
    said = [text.format(constants[key]) for key, text in marks.items() if key in constants]
    if not constants.get("SHIFT") and "FOLD" in constants:
        said.remove(f"fold{constants['FOLD']}")
    said += ["project"] * bool(constants.get("PROJECT"))
    return "_".join(["block", kernel, *said, *([tile] if tile else []), dtype])


def _variant(
    module: str,
    kernel: str,
    dtype: str,
    constants: dict[str, Any],
    warps: int = 4,
    stages: int = 1,
) -> Variant:
    function = getattr(importlib.import_module(f"adafuse_deploy.ops.triton.block.{module}"), kernel)
    stored = {"int8": "i8"}.get(dtype, dtype)
    types = {}
    for name in function.arg_names:
        if name in constants:
            continue
        if name in STORED:
            types[name] = f"*{stored}"
        elif name in FLOATS:
            types[name] = "*fp32"
        elif name in NUMBERS:
            types[name] = "*i32"
        else:
            types[name] = "fp32" if name in ("factor", "residual_scale") else "i32"
    return Variant(
        name=name_of(kernel, dtype, constants),
        kernel=(f"block.{module}", kernel),
        grid=GRIDS[kernel],
        types=types,
        constants=constants,
        aligned=tuple(name for name in types if name in ALIGNED),
        warps=warps,
        stages=stages,
    )

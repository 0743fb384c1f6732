"""What is compiled ahead of time: kernels, their constants, parameters and assumptions."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adafuse_deploy.ops.triton import tiles

BITS = {"fp16": 16, "bf16": 16, "fp32": 32}

LAYOUTS = {"nhwc16": True, "nhwc": True, "nchw": False}
"""Whether channels are innermost.  "nhwc16" is the fast one: numbers of channels and all distances
are multiples of 16.  The others assume nothing and come with one size of tile."""

SCRATCH = ("global_scratch", "profile_scratch")
"""Pointers that every Triton kernel takes last; ours have no use for them."""


@dataclass(frozen=True)
class Variant:
    """One kernel with its constants.

    Attributes:
        name: unique; cubins are called after it.
        kernel: module and name of the function.
        grid: number of programs per dimension, as expressions of the parameters.
        types: parameter to Triton type ("*fp16", "i32"), in order.
        constants: compile-time parameters.
        aligned: parameters assumed to be multiples of 16 (addresses: of 16 bytes).
    """

    name: str
    kernel: tuple[str, str]
    grid: tuple[str, ...]
    types: dict[str, str]
    constants: dict[str, Any]
    aligned: tuple[str, ...]
    warps: int = tiles.HELPER_WARPS
    stages: int = 1

    def function(self) -> Any:
        """Return the Triton function."""
        module, name = self.kernel
        return getattr(importlib.import_module(f"adafuse_deploy.ops.triton.{module}"), name)

    def describe(self) -> dict[str, Any]:
        """Return what the manifest says about the kernel whatever the target."""
        numbers = {"i32": "int32_t", "fp32": "float"}
        parameters = [
            {"name": name, "type": numbers.get(type, "CUdeviceptr")}
            for name, type in self.types.items()
        ]
        parameters += [{"name": name, "type": "CUdeviceptr"} for name in SCRATCH]
        return {
            "name": self.name,
            "kernel": self.kernel[1],
            "constants": self.constants,
            "parameters": parameters,
            "multiples_of_16": list(self.aligned),
            "grid": list(self.grid) + ["1"] * (3 - len(self.grid)),
            "threads": 32 * self.warps,
            "num_warps": self.warps,
            "num_ctas": 1,
        }


def all_variants(dtypes: Sequence[str]) -> Iterator[Variant]:
    """Yield every variant for elements of the types ``dtypes`` ("fp16", "bf16", "fp32")."""
    yield Variant(
        name="list_outputs",
        kernel=("channels", "list_outputs"),
        grid=("N * T",),
        types=_types(pointers={"policy": "i32", "outputs": "i32"}, integers=("frames", "channels")),
        constants={"BLOCK": tiles.LIST_BLOCK},
        aligned=(),
    )
    for dtype in dtypes:
        for skipping in (False, True):
            yield _pack(dtype, skipping)
        for layout in LAYOUTS:
            yield _compact(dtype, layout)
            names = tiles.TILES[BITS[dtype]] if layout == "nhwc16" else ("square",)
            for gated, skipping in ((True, False), (False, True), (True, True)):
                for tile in names:
                    yield _conv(dtype, layout, tile, gated, skipping)


def _types(pointers: dict[str, str], integers: Sequence[str]) -> dict[str, str]:
    return {name: f"*{type}" for name, type in pointers.items()} | dict.fromkeys(integers, "i32")


def _pack(dtype: str, skipping: bool) -> Variant:
    return Variant(
        name=f"pack_weights_{'skipping' if skipping else 'gated'}_{dtype}",
        kernel=("weights", "pack_weights"),
        grid=("ceil(channels_out * channels_in * taps / BLOCK)",),
        types=_types({"weight": dtype, "packed": dtype}, ("channels_out", "channels_in", "taps")),
        constants={"SKIPPING": skipping, "BLOCK": tiles.PACK_BLOCK},
        aligned=("weight", "packed"),
    )


def _compact(dtype: str, layout: str) -> Variant:
    aligned: tuple[str, ...] = ("x", "compact", "compact_stride")
    if layout == "nhwc16":
        aligned += ("channels", "x_frame", "x_stride")
    return Variant(
        name=f"compact_inputs_{layout}_{dtype}",
        kernel=("channels", "compact_inputs"),
        grid=("ceil(pixels / BLOCK_M)", "N * T"),
        types=_types(
            {"x": dtype, "policy": "i32", "compact": dtype, "inputs": "i32"},
            ("frames", "channels", "pixels", "x_frame", "x_stride", "compact_stride"),
        ),
        constants={
            "CHANNELS_LAST": LAYOUTS[layout],
            "BLOCK_M": tiles.COMPACT_M,
            "BLOCK_C": tiles.COMPACT_C,
            "PADDING": tiles.PADDING,
        },
        aligned=aligned,
    )


def _conv(dtype: str, layout: str, tile: str, gated: bool, skipping: bool) -> Variant:
    sizes = tiles.TILES[BITS[dtype]][tile]
    kind = "_".join(["gated"] * gated + ["skipping"] * skipping)
    aligned: tuple[str, ...] = ("x", "weight", "bias", "y")
    if layout == "nhwc16":
        aligned += ("channels_in", "channels_out", "x_frame", "x_stride", "y_frame", "y_stride")
    elif skipping:
        aligned += ("x_frame", "x_stride")
    return Variant(
        name=f"conditional_conv_{kind}_{layout}_{tile}_{dtype}",
        kernel=("conv", "conditional_conv"),
        grid=("ceil(channels_out / BLOCK_N)", "ceil(height_out * width_out / BLOCK_M)", "N * T"),
        types=_types(
            {
                **dict.fromkeys(("x", "weight", "bias", "y"), dtype),
                **dict.fromkeys(("policy", "outputs", "inputs"), "i32"),
            },
            (
                *("frames", "channels_in", "channels_out"),
                *("height", "width", "height_out", "width_out", "kernel_h", "kernel_w"),
                *("stride_h", "stride_w", "pad_top", "pad_left"),
                *("x_frame", "x_stride", "y_frame", "y_stride"),
            ),
        ),
        constants={
            "GATED": gated,
            "SKIPPING": skipping,
            "CHANNELS_LAST": LAYOUTS[layout],
            "BLOCK_M": sizes.block_m,
            "BLOCK_N": sizes.block_n,
            "BLOCK_K": sizes.block_k,
        },
        aligned=aligned,
        warps=sizes.warps,
        stages=sizes.stages(skipping),
    )

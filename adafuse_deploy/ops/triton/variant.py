"""A kernel to compile ahead of time: its constants, parameters and assumptions."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

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
    warps: int = 4
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

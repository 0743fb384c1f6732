"""What can be chosen when an engine is built."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.sidecar import BatchProfile

PRECISIONS = ("fp32", "fp16", "bf16", "int8")

HARDWARE_COMPATIBILITY = {
    "none": "NONE",
    "ampere-plus": "AMPERE_PLUS",
    "same-compute-capability": "SAME_COMPUTE_CAPABILITY",
}
"""What else than the GPU at hand an engine fits, and what TensorRT calls it."""


def check_int8(graph: str | os.PathLike[str], precision: str) -> None:
    """Raise :class:`InputError` if a quantised ``graph`` shall be built in another precision."""
    if precision != "int8":
        raise InputError(
            f"{graph} is quantised and built in int8; for {precision} build from the float32 graph."
        )


@dataclass(frozen=True)
class BuildOptions:
    """How to build an engine.

    Attributes:
        precision: of feature maps and convolutions: "fp32", with TensorFloat-32 off because it
            flips policies, "fp16", "bf16" or "int8"; None for that of the graph.
        compute_capabilities: of the GPUs to build for, such as "8.6" (TensorRT for RTX only); empty
            for all it knows from 8.0 on.
        batch: how many clips at a time.
        workspace: limit of the builder's scratch memory in MiB; None for TensorRT's default.
        timing_cache: file of measured kernels to read and update (TensorRT only), or None.
        plugins: "auto" to use the plugin library if it is installed and fits, "none", or its path.
        embed_plugins: put the library into the engine (TensorRT only).
        hardware_compatibility: a key of :data:`HARDWARE_COMPATIBILITY` (TensorRT only).
    """

    precision: str | None = None
    compute_capabilities: tuple[str, ...] = ()
    batch: BatchProfile = field(default_factory=BatchProfile)
    workspace: int | None = None
    timing_cache: Path | None = None
    plugins: str = "auto"
    embed_plugins: bool = False
    hardware_compatibility: str = "none"

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise InputError(f"Engines come in {', '.join(PRECISIONS)}, not in {self.precision!r}.")
        if self.hardware_compatibility not in HARDWARE_COMPATIBILITY:
            raise InputError(
                f"Hardware compatibility is {', '.join(HARDWARE_COMPATIBILITY)}, not "
                f"{self.hardware_compatibility!r}."
            )

"""What can be chosen when an engine is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from adafuse_deploy.engines.sidecar import BatchProfile
from adafuse_deploy.errors import InputError

PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class BuildOptions:
    """How to build an engine.

    Attributes:
        precision: "fp32", with TensorFloat-32 off because it flips policies, or "fp16" for feature
            maps and convolutions.
        compute_capabilities: of the GPUs to build for, such as "8.6" (TensorRT for RTX only); empty
            for all it knows from 8.0 on.
        batch: how many clips at a time.
        workspace: limit of the builder's scratch memory in MiB; None for TensorRT's default.
        timing_cache: file of measured kernels to read and update (TensorRT only), or None.
        plugins: "auto" to use the plugin library if it is installed and fits, "none", or its path.
        embed_plugins: put the library into the engine (TensorRT only).
    """

    precision: str = "fp32"
    compute_capabilities: tuple[str, ...] = ()
    batch: BatchProfile = field(default_factory=BatchProfile)
    workspace: int | None = None
    timing_cache: Path | None = None
    plugins: str = "auto"
    embed_plugins: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(
                f"Engines come in {' and '.join(PRECISIONS)}, not in {self.precision!r}."
            )

"""The layout of the fused operators' frames, as the operator library tells it.

The library owns the layout: how far pixels lie apart, how weights are stored, and the version that
fused nodes carry.
"""

from __future__ import annotations

from adafuse_deploy.ops.c_functions import layout_functions


def layout_version() -> int:
    """Return the version of the layout, the attribute ``layout_version`` of fused nodes."""
    return int(layout_functions().adafuse_layout_version())


def frame_units(channels: int, precision: str) -> int:
    """Return the elements of 4 bytes from one pixel of a frame to the next.

    Args:
        channels: of the frame, at least 1.
        precision: ``fp32``, ``bf16`` or ``int8``.

    Raises:
        MissingDependencyError: there is no operator library, or an older one.
        ValueError: such frames do not exist.
    """
    return _units("adafuse_frame_units", channels, precision)


def history_units(channels: int, precision: str) -> int:
    """Return the same of conv1's result in a stream, with room for any choice of ``channels``."""
    return _units("adafuse_history_units", channels, precision)


def weight_panel() -> int:
    """Return how many output channels lie side by side where weights are stored by panels."""
    return int(layout_functions().adafuse_weight_panel())


def _units(function: str, channels: int, precision: str) -> int:
    units = int(getattr(layout_functions(), function)(channels, precision.encode()))
    if units < 0:
        raise ValueError(f"there are no frames of {channels} channels in {precision}")
    return units

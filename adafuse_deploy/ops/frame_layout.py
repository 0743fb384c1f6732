"""The layout of the fused operators' frames, as the operator library tells it.

The library owns the layout: how far pixels lie apart, how weights are stored, and the version that
fused nodes carry.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from adafuse_deploy.core.errors import MissingDependencyError
from adafuse_deploy.ops.library import operator_library_path

_ABI_VERSION = 1


def layout_version() -> int:
    """Return the version of the layout, the attribute ``layout_version`` of fused nodes."""
    return int(_library().adafuse_layout_version())


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
    return int(_library().adafuse_weight_panel())


def _units(function: str, channels: int, precision: str) -> int:
    units = int(getattr(_library(), function)(channels, precision.encode()))
    if units < 0:
        raise ValueError(f"there are no frames of {channels} channels in {precision}")
    return units


def _library() -> ctypes.CDLL:
    path = operator_library_path()
    return _load(str(path), os.stat(path).st_mtime_ns)


@cache
def _load(path: str, _changed: int) -> ctypes.CDLL:
    """Return the library, which is loaded once per file."""
    try:
        library = ctypes.CDLL(path)
        version = library.adafuse_abi_version()
    except (OSError, AttributeError) as error:
        raise MissingDependencyError(
            f"The operator library {path} does not tell the layout of its frames: it is of an "
            "older release, or no operator library. Install adafuse-deploy again on this machine."
        ) from error
    if version != _ABI_VERSION:
        raise MissingDependencyError(
            f"The operator library {path} has version {version} of its interface, but this release "
            f"of adafuse-deploy knows {_ABI_VERSION}: install both from one release."
        )
    for function in (library.adafuse_frame_units, library.adafuse_history_units):
        function.argtypes = [ctypes.c_longlong, ctypes.c_char_p]
        function.restype = ctypes.c_longlong
    return library

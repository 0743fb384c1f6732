"""The C functions of the operator library, as ``native/ort/c_abi.h`` declares them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache

from adafuse_deploy.core.errors import MissingDependencyError
from adafuse_deploy.ops.library import operator_library_path

_ABI_VERSION = 1
_NUMBER, _TEXT, _POINTER = ctypes.c_longlong, ctypes.c_char_p, ctypes.c_void_p

_Signatures = Mapping[str, tuple[type | None, ...]]
"""Name of a function to what it gives and takes."""
_LAYOUT: _Signatures = {
    "adafuse_layout_version": (ctypes.c_int,),
    "adafuse_weight_panel": (ctypes.c_int,),
    "adafuse_frame_units": (_NUMBER, _NUMBER, _TEXT),
    "adafuse_history_units": (_NUMBER, _NUMBER, _TEXT),
}
_RECORDER: _Signatures = {
    "adafuse_peak": (ctypes.c_double, _TEXT),
    "adafuse_recorder_create": (_POINTER, _NUMBER),
    "adafuse_recorder_free": (None, _POINTER),
    "adafuse_recorder_start": (ctypes.c_int, _POINTER),
    "adafuse_recorder_stop": (None, _POINTER),
    "adafuse_recorder_records": (_POINTER, _POINTER),
    "adafuse_recorder_count": (_NUMBER, _POINTER),
    "adafuse_recorder_lost": (_NUMBER, _POINTER),
    "adafuse_recorder_node": (_TEXT, _POINTER, _NUMBER),
}


def layout_functions() -> ctypes.CDLL:
    """Return the library's functions about the layout of frames.

    Raises:
        MissingDependencyError: there is no operator library, or an older one.
    """
    return _load(None, _LAYOUT, "tell the layout of its frames")


def recorder_functions(path: str | os.PathLike[str] | None = None) -> ctypes.CDLL:
    """Return the library's functions about where its time goes.

    Args:
        path: of a library; :func:`~adafuse_deploy.ops.library.operator_library_path` by default.

    Raises:
        MissingDependencyError: there is no operator library, or an older one.
    """
    return _load(path, _RECORDER, "record where its time goes")


def _load(path: str | os.PathLike[str] | None, functions: _Signatures, purpose: str) -> ctypes.CDLL:
    path = operator_library_path() if path is None else path
    try:
        library = _open(str(path), os.stat(path).st_mtime_ns)
        version = library.adafuse_abi_version()
        for name, (result, *arguments) in functions.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise MissingDependencyError(
            f"The operator library {path} does not {purpose}: it is of an older release, or no "
            "operator library. Install adafuse-deploy again on this machine."
        ) from error
    if version != _ABI_VERSION:
        raise MissingDependencyError(
            f"The operator library {path} has version {version} of its interface, but this release "
            f"of adafuse-deploy knows {_ABI_VERSION}: install both from one release."
        )
    return library


@cache
def _open(path: str, _changed: int) -> ctypes.CDLL:
    """Return the library, which is loaded once per file."""
    return ctypes.CDLL(path)

"""The C functions of the operator library, as ``native/ort/c_abi.h`` declares them."""

from __future__ import annotations

import ctypes
import os
from functools import cache

from adafuse_deploy.core.errors import MissingDependencyError
from adafuse_deploy.ops.library import operator_library_path

_ABI_VERSION = 1


def c_functions(path: str | os.PathLike[str] | None = None) -> ctypes.CDLL:
    """Return the library, whose functions know what they take and give.

    Args:
        path: of a library; :func:`~adafuse_deploy.ops.library.operator_library_path` by default.

    Raises:
        MissingDependencyError: there is no operator library, or an older one.
    """
    path = operator_library_path() if path is None else path
    return _load(str(path), os.stat(path).st_mtime_ns)


@cache
def _load(path: str, _changed: int) -> ctypes.CDLL:
    """Return the library, which is loaded once per file."""
    try:
        library = ctypes.CDLL(path)
        version = library.adafuse_abi_version()
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise MissingDependencyError(
            f"The operator library {path} does not tell the layout of its frames or where its time "
            "goes: it is of an older release, or no operator library. Install adafuse-deploy again "
            "on this machine."
        ) from error
    if version != _ABI_VERSION:
        raise MissingDependencyError(
            f"The operator library {path} has version {version} of its interface, but this release "
            f"of adafuse-deploy knows {_ABI_VERSION}: install both from one release."
        )
    return library


_NUMBER, _TEXT, _POINTER = ctypes.c_longlong, ctypes.c_char_p, ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[type | None, ...]] = {
    "adafuse_layout_version": (ctypes.c_int,),
    "adafuse_weight_panel": (ctypes.c_int,),
    "adafuse_frame_units": (_NUMBER, _NUMBER, _TEXT),
    "adafuse_history_units": (_NUMBER, _NUMBER, _TEXT),
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
"""Name to what a function gives and takes."""

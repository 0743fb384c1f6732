"""The library of plugins for TensorRT (``native/tensorrt``): finding, describing and loading it."""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType
from typing import Any

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.native_library import NativeLibrary
from adafuse_deploy.engines.sidecar import OperatorLibrary
from adafuse_deploy.graph.plugins import OPERATOR
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION

AUTO, NONE = "auto", "none"
FILE_NAME = "libadafuse_tensorrt.so"
ENVIRONMENT_VARIABLE = "ADAFUSE_TENSORRT_PLUGIN"
"""Names a library file to use instead of the installed one."""

_LIBRARY = NativeLibrary(
    "plugin library",
    FILE_NAME,
    ENVIRONMENT_VARIABLE,
    "build it with 'make plugin', or build the engine with --plugins none",
)

PRECISIONS = ("fp32", "fp16")
"""What the library's kernels were compiled for."""


def find_plugins(wanted: str, backend: str, precision: str) -> Path | None:
    """Return the plugin library to build with, or None to build from standard operators.

    Args:
        wanted: "auto" for the library that is installed if it fits, "none", or a path.
        backend: "tensorrt" or "tensorrt-rtx", which takes no plugins.
        precision: of the engine.

    Raises:
        InputError: a library was asked for that this engine cannot use.
        MissingDependencyError: it is not there.
    """
    fits = backend == "tensorrt" and precision in PRECISIONS
    if wanted == NONE or (wanted == AUTO and not fits):
        return None
    if not fits:
        raise InputError(
            f"The plugin library serves TensorRT in {' and '.join(PRECISIONS)}, not {backend} in "
            f"{precision}; leave out --plugins."
        )
    if wanted != AUTO:
        return _LIBRARY.existing(wanted, "given with --plugins")
    return _LIBRARY.find()


def describe(library: Path, *, embedded: bool = False) -> OperatorLibrary:
    """Return what the sidecar says about a library."""
    return OperatorLibrary(DOMAIN, VERSION, sha256(library), embedded)


def library_for(engine: Path, operators: OperatorLibrary) -> Path:
    """Return the plugin library that an engine was built with.

    Raises:
        MissingDependencyError: there is none.
        IncompatibleArtifactError: it is another one.
    """
    library = _LIBRARY.find()
    if library is None:
        raise MissingDependencyError(
            f"{engine} needs the plugin library {FILE_NAME}: build it with 'make plugin' and name "
            f"it in {ENVIRONMENT_VARIABLE}, or build the engine again with --plugins none."
        )
    found = sha256(library)
    if found != operators.sha256:
        raise IncompatibleArtifactError(
            f"{engine} was built with the plugin library of SHA-256 {operators.sha256[:12]}..., "
            f"but {library} has {found[:12]}...; name the other one in {ENVIRONMENT_VARIABLE}, or "
            "build the engine again."
        )
    return library


def load(library: Path, trt: ModuleType) -> None:
    """Register the plugins of a library with TensorRT, once per process.

    Raises:
        MissingDependencyError: it does not load or holds other plugins.
    """
    _load(library, trt.get_plugin_registry())


@functools.cache
def _load(library: Path, registry: Any) -> None:
    handle = registry.load_library(str(library))
    found = {
        creator.name for creator in registry.all_creators if creator.plugin_namespace == DOMAIN
    }
    if handle is None or OPERATOR not in found:
        raise MissingDependencyError(
            f"TensorRT cannot take plugins from {library}: it was built for another kind of "
            "processor or TensorRT, or is no plugin library; build it with 'make plugin' on this "
            "machine."
        )

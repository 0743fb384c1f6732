"""Our operators in TensorRT: where the plugin library is, and graphs that call it.

The library (``native/tensorrt``, ``make plugin``) was driven without TensorRT, which was never at
hand; ONNX nodes reach it as TensorRT's parser documents: by name, ``plugin_version`` and
``plugin_namespace``.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import adafuse_deploy
from adafuse_deploy.engines.graph import drop_unused_weights
from adafuse_deploy.engines.sidecar import OperatorLibrary
from adafuse_deploy.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.files import sha256
from adafuse_deploy.ops.domain import DOMAIN, VERSION

if TYPE_CHECKING:
    import onnx

AUTO, NONE = "auto", "none"
FILE_NAME = "libadafuse_tensorrt.so"
ENVIRONMENT_VARIABLE = "ADAFUSE_TENSORRT_PLUGIN"
"""Names a library file to use instead of the installed one."""

PRECISIONS = ("fp32", "fp16")
"""What the library's kernels were compiled for."""

PLUGIN_VERSION = "1"
OPERATORS = ("GatedConv", "SkipConv")

_GATED_ORDER, _SKIPPING_ORDER = (0, 2, 3, 1), (2, 3, 1, 0)


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
        return _existing(Path(wanted), "given with --plugins")
    return _installed()


def _installed() -> Path | None:
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    if override:
        return _existing(Path(override), f"named by {ENVIRONMENT_VARIABLE}")
    for folder in adafuse_deploy.__path__:
        candidate = Path(folder, "lib", FILE_NAME)
        if candidate.is_file():
            return candidate.absolute()
    return None


def _existing(path: Path, origin: str) -> Path:
    if not path.is_file():
        raise MissingDependencyError(
            f"The plugin library {path}, {origin}, is not a file: build it with 'make plugin', or "
            "build the engine with --plugins none."
        )
    return path.absolute()


def describe(library: Path, *, embedded: bool = False) -> OperatorLibrary:
    """Return what the sidecar says about a library."""
    return OperatorLibrary(DOMAIN, VERSION, sha256(library), embedded)


def load_for(engine: Path, operators: OperatorLibrary, trt: ModuleType) -> None:
    """Load the plugin library that an engine was built with.

    Raises:
        MissingDependencyError: there is none.
        IncompatibleArtifactError: it is another one.
    """
    library = _installed()
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
    load(library, trt)


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
    if handle is None or not found.issuperset(OPERATORS):
        raise MissingDependencyError(
            f"TensorRT cannot take plugins from {library}: it was built for another kind of "
            "processor or TensorRT, or is no plugin library; build it with 'make plugin' on this "
            "machine."
        )


def for_plugins(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose conditional convolutions are the library's.

    Their weights are in the order that the kernels read, which ``packed`` says.

    Args:
        model: an exported clip graph, its function bodies still there, in float32 or float16.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.functions[:]
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    packed: dict[str, onnx.TensorProto] = {}
    for node in graph.node:
        if node.domain != DOMAIN:
            continue
        if node.op_type not in OPERATORS:
            raise InputError(f"The plugin library has no {node.op_type}; use --plugins none.")
        skipping = node.op_type == "SkipConv" or (len(node.input) == 5 and bool(node.input[4]))
        order = _SKIPPING_ORDER if skipping else _GATED_ORDER
        name = f"{node.input[1]}_{'skipping' if skipping else 'gated'}"
        if name not in packed:
            values = onnx.numpy_helper.to_array(weights[node.input[1]])
            ordered = np.ascontiguousarray(values.transpose(order))
            packed[name] = onnx.numpy_helper.from_array(ordered, name)
        node.input[1] = name
        node.attribute.extend(
            onnx.helper.make_attribute(key, value)
            for key, value in (
                ("packed", 1),
                ("plugin_namespace", DOMAIN),
                ("plugin_version", PLUGIN_VERSION),
            )
        )
    graph.initializer.extend(packed.values())
    drop_unused_weights(graph)
    return result

"""From an exported graph to an engine with its sidecar, in any backend that builds."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.core.files import atomic_path, sha256
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.backends import BACKENDS, find_backend
from adafuse_deploy.engines.plugin_library import AUTO, describe, find_plugins
from adafuse_deploy.engines.sidecar import Sidecar, sidecar_path
from adafuse_deploy.engines.suffixes import ENGINES
from adafuse_deploy.exporters.build_options import BuildOptions, check_int8
from adafuse_deploy.graph.half_precision import HALVES, to_half
from adafuse_deploy.graph.plugins import OPERATOR
from adafuse_deploy.graph.plugins.lower import for_plugins
from adafuse_deploy.graph.read import inlined, read_graph

if TYPE_CHECKING:
    import onnx


def build_gpu_engine(
    graph: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    backend: str = "tensorrt",
    options: BuildOptions | None = None,
    clips: Sequence[np.ndarray] = (),
) -> Sidecar:
    """Build an engine and its sidecar from an exported graph.

    Args:
        graph: the ``.onnx`` file.
        output: the engine to make, ``.engine`` or ``.plan``; ``<output>.json`` is made with it.
        backend: "tensorrt", which builds for the GPU at hand, or "tensorrt-rtx", which needs none.
        options: precision, GPUs, batch and builder settings.
        clips: float32 (T, 3, H, W), prepared as in deployment, that the graph is quantised with
            when a float32 graph is built in int8; some dozens.

    Returns:
        The content of the sidecar.

    Raises:
        InputError: an option does not fit the backend, or ``graph`` or ``output`` is unusable.
        MissingDependencyError: the backend, for "tensorrt" a GPU, or the plugin library that was
            asked for is missing.
        IncompatibleArtifactError: the backend cannot parse the graph.
    """
    options = options or BuildOptions()
    output = Path(output)
    if output.suffix not in ENGINES:
        raise InputError(f"Name the engine *{' or *'.join(ENGINES)}, not {output.name}.")
    if not find_backend(backend).builds:
        builders = [name for name, candidate in BACKENDS.items() if candidate.builds]
        raise InputError(
            f"{backend} runs the graph itself and needs no engine; engines are built by "
            f"{' and '.join(builders)}."
        )
    from adafuse_deploy.exporters.tensorrt_builder import TensorRTBuilder

    builder = TensorRTBuilder(backend, options)
    model, metadata = read_graph(graph)
    if metadata.mode == "stream":
        raise InputError(
            f"{graph} takes streams frame by frame, which engines do not yet; run it in ONNX "
            "Runtime, or build from a graph that was exported for clips."
        )
    precision = options.precision or metadata.precision
    _check_precision(graph, metadata, precision, len(clips))
    library = find_plugins(options.plugins, backend, precision)
    if options.embed_plugins and library is None:
        raise InputError("There is no plugin library to embed; name it with --plugins.")
    if precision == "int8" and metadata.precision != "int8":
        model, metadata = _quantized(graph, clips)
    flat = None if library is None else _with_plugins(model, metadata, precision, options)
    if flat is None:
        library, flat = None, inlined(model)
        if precision in HALVES:
            flat = to_half(flat, precision)
    # Both files are opened first: a build of minutes should not end in an unwritable folder.
    with atomic_path(sidecar_path(output)) as description, atomic_path(output) as engine:
        with open(engine, "wb") as file:
            file.write(builder.build(flat, library))
        sidecar = Sidecar(
            engine_sha256=sha256(engine),
            graph_sha256=sha256(graph),
            backend=backend,
            backend_version=builder.version,
            precision=precision,
            compute_capabilities=builder.compute_capabilities,
            batch=options.batch,
            metadata=replace(metadata, precision=precision, operators={}),
            operators=None
            if library is None
            else describe(library, embedded=options.embed_plugins),
        )
        description.write_text(sidecar.to_json(), encoding="utf-8")
    return sidecar


def _with_plugins(
    model: onnx.ModelProto, metadata: GraphMetadata, precision: str, options: BuildOptions
) -> onnx.ModelProto | None:
    """Return the graph with our plugins, or None if the library serves nothing in it."""
    half = to_half(model, precision) if precision in HALVES else model
    frames = metadata.config.num_segments
    lowered = for_plugins(half, frames, precision, options.batch.max)
    if not lowered.blocks and (options.plugins != AUTO or options.embed_plugins):
        reasons = " ".join(lowered.left) or "It has no gated residual blocks."
        raise InputError(
            f"The plugin library has nothing for this network; leave out --plugins. {reasons}"
        )
    for sentence in lowered.left:
        warnings.warn(sentence, InputWarning, stacklevel=3)
    return inlined(lowered.model, (OPERATOR,)) if lowered.blocks else None


def _check_precision(
    graph: str | os.PathLike[str], metadata: GraphMetadata, precision: str, clips: int
) -> None:
    """Refuse a precision that does not follow from the graph and what there is to observe."""
    if metadata.precision == "int8":
        check_int8(graph, precision)
        if clips:
            raise InputError(f"{graph} is quantised already; leave out --data.")
        if metadata.calibration.get("activations") != "int8":
            # The parser reads unsigned integers as signed, at the same scale.
            raise InputError(
                f"{graph} has unsigned feature maps, which TensorRT would cut off at half their "
                "range; quantise with --activations int8, or build from the float32 graph with "
                "--int8 --data LIST."
            )
    elif precision == "int8":
        if not clips:
            raise InputError(
                f"{graph} is not quantised; give videos to observe with --data LIST, or a graph "
                "made by 'adafuse-deploy quantize --activations int8'."
            )
    elif clips:
        raise InputError("Only int8 has ranges to observe; leave out --data, or add --int8.")


def _quantized(
    graph: str | os.PathLike[str], clips: Sequence[np.ndarray]
) -> tuple[onnx.ModelProto, GraphMetadata]:
    from adafuse_deploy.exporters.quantize import QuantizeOptions, quantize

    with tempfile.TemporaryDirectory(prefix="adafuse-int8-") as folder:
        path = Path(folder) / "model.int8.onnx"
        quantize(graph, path, clips, QuantizeOptions(activations="int8"), progress=True)
        return read_graph(path)

"""From an exported graph to an engine with its sidecar, in any backend that builds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from adafuse_deploy.engines.backends import BACKENDS, find_backend
from adafuse_deploy.engines.graph import inlined, read_graph
from adafuse_deploy.engines.loader import ENGINES
from adafuse_deploy.engines.options import BuildOptions
from adafuse_deploy.engines.plugins import describe, find_plugins, for_plugins
from adafuse_deploy.engines.sidecar import Sidecar, sidecar_path
from adafuse_deploy.errors import InputError
from adafuse_deploy.files import atomic_path, sha256


def build_engine(
    graph: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    backend: str = "tensorrt",
    options: BuildOptions | None = None,
) -> Sidecar:
    """Build an engine and its sidecar from an exported graph.

    Args:
        graph: the ``.onnx`` file.
        output: the engine to make, ``.engine`` or ``.plan``; ``<output>.json`` is made with it.
        backend: "tensorrt", which builds for the GPU at hand, or "tensorrt-rtx", which needs none.
        options: precision, GPUs, batch and builder settings.

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
    from adafuse_deploy.engines.tensorrt_builder import TensorRTBuilder

    builder = TensorRTBuilder(backend, options)
    model, metadata = read_graph(graph)
    if metadata.mode == "stream":
        raise InputError(
            f"{graph} takes streams frame by frame, which engines do not yet; run it in ONNX "
            "Runtime, or build from a graph that was exported for clips."
        )
    precision = options.precision
    quantised = metadata.precision == "int8"
    library = find_plugins(options.plugins, backend, "int8" if quantised else precision)
    if options.embed_plugins and library is None:
        raise InputError("There is no plugin library to embed; name it with --plugins.")
    flat = inlined(model) if library is None else model
    if quantised:
        if precision == "fp16":
            raise InputError(
                f"{graph} is quantised and built in int8; for fp16 build from the float32 graph."
            )
        precision = "int8"
    elif precision == "fp16":
        from adafuse_deploy.engines.precision import to_float16

        flat = to_float16(flat)
    if library is not None:
        flat = for_plugins(flat)
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

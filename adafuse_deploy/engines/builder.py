"""From an exported graph to an engine with its sidecar, in any backend that builds."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from adafuse_deploy.engines.backends import BACKENDS, find_backend
from adafuse_deploy.engines.graph import inlined, read_graph
from adafuse_deploy.engines.loader import ENGINES
from adafuse_deploy.engines.sidecar import BatchProfile, Sidecar, sidecar_path
from adafuse_deploy.errors import InputError
from adafuse_deploy.files import atomic_path, sha256

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
    """

    precision: str = "fp32"
    compute_capabilities: tuple[str, ...] = ()
    batch: BatchProfile = field(default_factory=BatchProfile)
    workspace: int | None = None
    timing_cache: Path | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(
                f"Engines come in {' and '.join(PRECISIONS)}, not in {self.precision!r}."
            )


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
        MissingDependencyError: the backend, or for "tensorrt" a GPU, is missing.
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
    flat = inlined(model)
    if options.precision == "fp16":
        from adafuse_deploy.engines.precision import to_float16

        flat = to_float16(flat)
    # Both files are opened first: a build of minutes should not end in an unwritable folder.
    with atomic_path(sidecar_path(output)) as description, atomic_path(output) as engine:
        with open(engine, "wb") as file:
            file.write(builder.build(flat))
        sidecar = Sidecar(
            engine_sha256=sha256(engine),
            graph_sha256=sha256(graph),
            backend=backend,
            backend_version=builder.version,
            precision=options.precision,
            compute_capabilities=builder.compute_capabilities,
            batch=options.batch,
            metadata=replace(metadata, precision=options.precision, operators={}),
        )
        description.write_text(sidecar.to_json(), encoding="utf-8")
    return sidecar

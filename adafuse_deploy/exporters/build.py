"""One function that builds what any backend runs best."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.exporters.build_options import BuildOptions


def build_engine(
    graph: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    backend: str = "onnxruntime",
    precision: str | None = None,
    options: BuildOptions | None = None,
    clips: Sequence[np.ndarray] = (),
) -> GraphMetadata:
    """Build an engine from a portable graph; nothing is written unless it can be used.

    Args:
        graph: the ``.onnx`` file that :func:`adafuse_deploy.export` or
            :func:`adafuse_deploy.quantize` made.
        output: what to make: for "onnxruntime" a fused graph ``*.onnx``, otherwise ``*.engine`` or
            ``*.plan``, with ``<output>.json`` beside it.
        backend: "onnxruntime" for this CPU and its like; "tensorrt" for the GPU at hand;
            "tensorrt-rtx" for chosen GPUs, without one.
        precision: "fp32", "bf16" or, of a quantised graph, "int8"; on GPUs "fp16" too.  None is
            that of the graph.
        options: for GPUs: which, batch and builder settings.
        clips: for GPUs in int8: float32 (T, 3, H, W), prepared as in deployment, that a float32
            graph is quantised with; some dozens.

    Returns:
        What the engine is.

    Raises:
        InputError: an option does not fit the backend, or ``graph`` or ``output`` is unusable.
        CheckFailed: the fused graph gives other results than ``graph``.
        MissingDependencyError: the backend, the operator library or a GPU is missing.
        IncompatibleArtifactError: the backend cannot parse the graph.
    """
    if backend == "onnxruntime":
        from adafuse_deploy.exporters.fused_exporter import lower

        if options is not None or len(clips):
            raise InputError(
                "Options and clips are for GPUs; for ONNX Runtime give the precision, and for "
                "int8 a graph made by adafuse_deploy.quantize."
            )
        return lower(graph, output, precision=precision)[0]
    from adafuse_deploy.exporters.gpu_engine import build_gpu_engine

    options = options or BuildOptions()
    if precision is not None:
        options = replace(options, precision=precision)
    return build_gpu_engine(graph, output, backend=backend, options=options, clips=clips).metadata

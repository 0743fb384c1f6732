"""Make the fused graph, check it against the portable one, and only then write it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from adafuse_deploy.engines.agreement import disagreement
from adafuse_deploy.engines.graph import read_graph
from adafuse_deploy.engines.lowering.rewrite import fuse_residual_blocks
from adafuse_deploy.engines.onnxruntime import OnnxRuntimeEngine
from adafuse_deploy.errors import CheckFailed, InputError
from adafuse_deploy.files import atomic_path, sha256
from adafuse_deploy.metadata import GraphMetadata
from adafuse_deploy.ops.domain import DOMAIN, VERSION


def lower(
    graph: str | os.PathLike[str], output: str | os.PathLike[str]
) -> tuple[GraphMetadata, int]:
    """Write ``graph`` with its residual blocks fused, after checking the result.

    The result runs only with the operator library.  It is run on a random clip beside the portable
    graph in plain ONNX Runtime: every policy must be the same and the logits within
    :data:`~adafuse_deploy.engines.agreement.MAX_LOGITS_ERROR`.

    Args:
        graph: a portable graph, made by 'adafuse-deploy export'.
        output: the ``.onnx`` file to make; nothing is left there unless the check passes.

    Returns:
        The metadata of the new graph and the number of fused blocks.

    Raises:
        InputError: ``graph`` has nothing to fuse or was lowered before, or a file is unusable.
        CheckFailed: the fused graph gives other results.
        MissingDependencyError: the operator library is missing.
    """
    graph, output = Path(graph), Path(output)
    if output.suffix != ".onnx":
        raise InputError(f"Name the graph for ONNX Runtime *.onnx, not {output.name}.")
    if output.exists() and graph.exists() and output.samefile(graph):
        raise InputError(f"{output} is the portable graph itself; choose another -o/--output.")
    portable, metadata = read_graph(graph)
    if metadata.portable_name:
        raise InputError(
            f"{graph} was already built for ONNX Runtime from {metadata.portable_name}; build from "
            "that file."
        )
    # Opened first: a path that cannot be written fails before the work.
    with atomic_path(output) as temporary:
        fused, blocks = fuse_residual_blocks(portable, metadata.config.num_segments)
        if not blocks:
            raise InputError(
                f"{graph} has no residual blocks that can be fused ({metadata.config.backbone}"
                f"{', dense gates' if metadata.config.dense_gates else ''}); run it as it is, its "
                "gated convolutions are already conditional."
            )
        lowered = replace(
            metadata,
            operators={**metadata.operators, DOMAIN: VERSION},
            portable_name=graph.name,
            portable_sha256=sha256(graph),
        )
        onnx.helper.set_model_props(fused, lowered.to_props())
        onnx.save(fused, temporary)
        _check(temporary, graph, lowered)
    return lowered, blocks


def _check(fused: Path, portable: Path, metadata: GraphMetadata) -> None:
    clip = np.random.default_rng(0).standard_normal((1, *metadata.input_shape), np.float32)
    with OnnxRuntimeEngine(portable, operator_library=False) as engine:
        expected = engine.run(clip)
    with OnnxRuntimeEngine(fused) as engine:
        got = engine.run(clip)
    difference = disagreement(got, expected)
    if difference:
        raise CheckFailed(
            f"The fused graph differs from {portable} ({difference}), so nothing was written; run "
            "the portable graph, and please report this with what 'adafuse-deploy doctor' prints."
        )

"""Make the fused graph, check it against the portable one, and only then write it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from adafuse_deploy.engines.forced import force_policies, force_stream_policies
from adafuse_deploy.engines.graph import read_graph
from adafuse_deploy.engines.lowering.rewrite import fuse_residual_blocks
from adafuse_deploy.engines.onnxruntime import OnnxRuntimeEngine
from adafuse_deploy.errors import CheckFailed, InputError
from adafuse_deploy.files import atomic_path, sha256
from adafuse_deploy.metadata import GraphMetadata
from adafuse_deploy.ops.domain import DOMAIN, VERSION

LIMITS = {"fp32": (1e-4, 0.999), "bf16": (0.1, 0.9), "int8": (0.1, 0.9)}
"""Per precision, what the check allows under the same decisions: largest difference of logits
relative to their RMS, and least share of gates' own decisions that are the same.  Random weights on
noise decide more closely than trained ones on videos; 'verify' measures those."""


class NothingToFuse(InputError):
    """A graph without blocks that a fused operator can replace."""


def lower(
    graph: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: str | None = None,
) -> tuple[GraphMetadata, int]:
    """Write ``graph`` with its blocks fused, after checking the result.

    The result runs only with the operator library.  It is run on a random clip beside the portable
    graph in plain ONNX Runtime, under the portable graph's decisions, so that a close call that
    rounding turns over does not hide what else is different; see :data:`LIMITS`.

    Args:
        graph: a portable graph, made by 'adafuse-deploy export'.
        output: the ``.onnx`` file to make; nothing is left there unless the check passes.
        precision: of the blocks' weights and feature maps: "fp32" (the default) or "bf16", or
            "int8" for a quantised graph, which is built in nothing else; pooled features and
            policies are float32.

    Returns:
        The metadata of the new graph and the number of fused blocks.

    Raises:
        NothingToFuse: ``graph`` has no residual blocks.
        InputError: ``graph`` was lowered before, or a file is unusable.
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
    precision = _choose(precision, metadata.precision, graph)
    # Opened first: a path that cannot be written fails before the work.
    with atomic_path(output) as temporary:
        fused, metadata, blocks = fuse_residual_blocks(portable, metadata, precision)
        if not blocks:
            raise NothingToFuse(
                f"{graph} has no blocks that can be fused ({metadata.config.backbone}"
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
        _check(fused, graph, lowered)
    return lowered, blocks


def _choose(wanted: str | None, given: str, graph: Path) -> str:
    """Return the precision to build in."""
    if given == "int8":
        if wanted not in (None, "int8"):
            raise InputError(
                f"{graph} is quantised and built in int8; for {wanted} build from the float32 "
                "graph."
            )
        return "int8"
    wanted = wanted or "fp32"
    if wanted == "int8":
        raise InputError(
            f"{graph} is not quantised; run 'adafuse-deploy quantize' first and build its result."
        )
    if wanted not in LIMITS:
        raise InputError(f"Graphs for ONNX Runtime come in {', '.join(LIMITS)}, not in {wanted!r}.")
    return wanted


def _check(fused: onnx.ModelProto, portable: Path, metadata: GraphMetadata) -> None:
    clip = np.random.default_rng(0).standard_normal((1, *metadata.clip_shape), np.float32)
    with OnnxRuntimeEngine(portable, operator_library=False) as engine:
        expected = engine.run(clip)
    with tempfile.TemporaryDirectory(prefix="adafuse-lower-") as folder:
        forced = Path(folder, "forced.onnx")
        if metadata.mode == "stream":
            force_stream_policies(fused, metadata, [policy[0] for policy in expected.policies])
        else:
            force_policies(fused, expected.policies)
        onnx.save(fused, forced)
        with OnnxRuntimeEngine(forced) as engine:
            got = engine.run(clip)
    rms = float(np.sqrt(np.mean(expected.logits**2))) or 1.0
    error = float(np.abs(got.logits - expected.logits).max()) / rms
    pairs = list(zip(got.policies, expected.policies, strict=True))
    same = [(ours == theirs).ravel() for ours, theirs in pairs]
    agreement = float(np.concatenate(same).mean()) if same else 1.0
    most, least = LIMITS[metadata.precision]
    if not (error <= most and agreement >= least):
        raise CheckFailed(
            f"The fused graph differs from {portable} ({100 * (1 - agreement):.2f} % of the "
            f"decisions, logits by {error:.1e} of their RMS), so nothing was written; run "
            "the portable graph, and please report this with what 'adafuse-deploy doctor' prints."
        )

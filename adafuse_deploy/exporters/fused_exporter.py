"""Make the fused graph, check it against the portable one, and only then write it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import onnx

from adafuse_deploy.compare.check import LIMITS, Check, Notify
from adafuse_deploy.compare.graph_reference import GraphReference
from adafuse_deploy.core.errors import CheckFailed, InputError
from adafuse_deploy.core.files import atomic_path, sha256
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.onnxruntime_engine import OnnxRuntimeEngine
from adafuse_deploy.exporters.build_options import check_int8
from adafuse_deploy.graph.fuse.fuse import fuse
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION


class NothingToFuse(InputError):
    """A graph without blocks that a fused operator can replace."""


def lower(
    graph: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: str | None = None,
    notify: Notify = lambda sentence: None,
) -> tuple[GraphMetadata, int]:
    """Write ``graph`` with its blocks fused, after checking the result.

    The result runs only with the operator library.  It is run on a random clip beside the portable
    graph in plain ONNX Runtime, which follows its decisions, so that a close call that rounding
    turns over does not hide what else is different (:mod:`adafuse_deploy.compare.check`).

    Args:
        graph: a portable graph, made by 'adafuse-deploy export'.
        output: the ``.onnx`` file to make; nothing is left there unless the check passes.
        precision: of the blocks' weights and feature maps: "fp32" (the default) or "bf16", or
            "int8" for a quantised graph, which is built in nothing else; pooled features and
            policies are float32.
        notify: is told in a sentence of ties that the fused graph settled otherwise.

    Returns:
        The metadata of the new graph and the number of fused blocks.

    Raises:
        NothingToFuse: ``graph`` has no residual blocks.
        InputError: ``graph`` was lowered before, or a file is unusable.
        CheckFailed: the fused graph gives other results.
        NotFiniteError: the portable graph itself answers with NaN or infinity.
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
        fused, metadata, blocks = fuse(portable, metadata, precision)
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
        _check(temporary, graph, lowered, notify)
    return lowered, blocks


def _choose(wanted: str | None, given: str, graph: Path) -> str:
    """Return the precision to build in."""
    if given == "int8":
        check_int8(graph, wanted or given)
        return "int8"
    wanted = wanted or "fp32"
    if wanted == "int8":
        raise InputError(
            f"{graph} is not quantised; run 'adafuse-deploy quantize' first and build its result."
        )
    if wanted not in LIMITS:
        raise InputError(f"Graphs for ONNX Runtime come in {', '.join(LIMITS)}, not in {wanted!r}.")
    return wanted


def _check(fused: Path, portable: Path, metadata: GraphMetadata, notify: Notify) -> None:
    check = Check(GraphReference(portable), metadata.clip_shape, metadata.gates)
    with OnnxRuntimeEngine(fused) as engine:
        difference = check.difference(engine, metadata.precision, notify)
    if difference:
        raise CheckFailed(
            f"The fused graph differs from {portable} ({difference}), so nothing was written; run "
            "the portable graph, and please report this with what 'adafuse-deploy doctor' prints."
        )

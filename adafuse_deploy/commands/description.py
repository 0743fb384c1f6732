"""What a checkpoint, graph or engine says about itself, read without its runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adafuse_deploy.commands.checkpoints import DESCRIPTION
from adafuse_deploy.commands.next_step import same_options
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS

Description = tuple[str, GraphMetadata, dict[str, Any]]
"""The kind of file, its record, and what else is known of it by name."""


def read_model(file: Path, options: dict[str, Any]) -> Description:
    """Read a checkpoint, graph or engine.

    Args:
        file: any of them.
        options: of :func:`~adafuse_deploy.commands.checkpoints.checkpoint_options`.

    Raises:
        InputError, IncompatibleArtifactError: it is damaged, none of them, or of another version.
        MissingDependencyError: a checkpoint that only PyTorch can read.
    """
    if file.suffix in GRAPHS:
        return _graph(file)
    if file.suffix in ENGINES:
        return _engine(file)
    return _checkpoint(file, options)


def _graph(file: Path) -> Description:
    from collections import Counter

    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.graph.read import read_graph

    model, metadata = read_graph(file)
    counts = Counter(node.op_type for node in model.graph.node)
    ours = Counter(node.op_type for node in model.graph.node if node.domain in metadata.operators)
    gated = "GatedConv" if metadata.mode == "clip" else "StreamGatedConv"
    kinds = ("Conv", gated, "SkipConv")
    return (
        _form(metadata),
        metadata,
        {
            "operators": metadata.operators,
            "operator_nodes": dict(ours),
            "convolutions": {name: counts[name] for name in kinds},
            **_lowering(metadata, counts),
            "outputs": metadata.outputs,
            **_state(metadata),
            "calibration": metadata.calibration,
            "checkpoint_sha256": metadata.checkpoint_sha256,
            "sha256": sha256(file),
        },
    )


def _form(metadata: GraphMetadata) -> str:
    """Return what kind of graph a file is, in the words of the glossary."""
    form = "fused" if metadata.portable_name else "portable"
    return f"{form} {'stream ' if metadata.mode == 'stream' else ''}graph (ONNX)"


def _state(metadata: GraphMetadata) -> dict[str, Any]:
    """Describe what a stream graph hands from frame to frame; nothing about one for clips."""
    if metadata.mode == "clip":
        return {}
    values = sum(math.prod(entry.shape) for entry in metadata.state)
    return {"state": {"tensors": len(metadata.state), "bytes_per_stream": 4 * values}}


def _lowering(metadata: GraphMetadata, counts: Mapping[str, int]) -> dict[str, Any]:
    """Describe a fused graph; nothing about a portable one."""
    if not metadata.portable_name:
        return {}
    # Conditional, stream or quantised, as the graph is.
    fused = {name: counts[name] for name in counts if name.endswith(("BasicBlock", "Bottleneck"))}
    return {
        "fused_blocks": fused,
        "built_from": {"name": metadata.portable_name, "sha256": metadata.portable_sha256},
    }


def _engine(file: Path) -> Description:
    from dataclasses import asdict

    from adafuse_deploy.engines.sidecar import read_sidecar

    sidecar = read_sidecar(file)
    return (
        "engine",
        sidecar.metadata,
        {
            "backend": sidecar.backend,
            "backend_version": sidecar.backend_version,
            "precision": sidecar.precision,
            "compute_capabilities": list(sidecar.compute_capabilities),
            "batch": asdict(sidecar.batch),
            "operator_library": None if sidecar.operators is None else asdict(sidecar.operators),
            "graph_sha256": sidecar.graph_sha256,
            "checkpoint_sha256": sidecar.metadata.checkpoint_sha256,
            "sha256": sidecar.engine_sha256,
        },
    )


def _checkpoint(file: Path, options: dict[str, Any]) -> Description:
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.models.safetensors_file import is_safetensors, read_header
    from adafuse_deploy.models.weight_files import may_be_pickle

    if file.suffix not in CHECKPOINTS and not may_be_pickle(file):
        raise InputError(_none_of_ours(file))
    details: dict[str, Any]
    header = read_header(file) if is_safetensors(file) and not same_options(DESCRIPTION) else None
    if header is not None:
        digest = sha256(file)
        metadata = replace(header.metadata, checkpoint_sha256=digest)
        details = {"parameters": header.parameters, **header.beside, "sha256": digest}
        return "checkpoint", metadata, details
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.models.checkpoint import ENTRIES, is_ours
    from adafuse_deploy.models.checkpoint_file import load_content
    from adafuse_deploy.models.foreign import foreign_weights
    from adafuse_deploy.models.metadata import metadata_of

    try:
        content = load_content(file)
    except InputError as error:
        if file.suffix in CHECKPOINTS or not file.is_file():
            raise
        raise InputError(_none_of_ours(file)) from error
    model = load_checkpoint(file, guess_shift=True, content=content, **options)
    digest = sha256(file)
    details = {"parameters": sum(p.numel() for p in model.parameters())}
    kind = "checkpoint"
    if is_ours(content):
        details |= {k: v for k, v in content.items() if k not in ENTRIES and _is_plain(v)}
    else:
        kind = str(foreign_weights(content, str(file)))
    return kind, metadata_of(model, digest), {**details, "sha256": digest}


def _none_of_ours(file: Path) -> str:
    return (
        f"{file} is none of the files that can be inspected: a graph ({', '.join(GRAPHS)}), an "
        f"engine ({', '.join(ENGINES)}) or a readable checkpoint, by whatever name."
    )


def _is_plain(value: object) -> bool:
    """Whether JSON can hold a value that was stored beside the weights; tensors it cannot."""
    try:
        json_text(value)
    except (TypeError, ValueError):
        return False
    return True


def in_words(value: object) -> str:
    """Write a value for people."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], dict):
            return f"{len(value)} entries, see --json"
        more = f", ... ({len(value)} in all)" if len(value) > 5 else ""
        return ", ".join(map(in_words, value[:5])) + more
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value in (None, "") else str(value)


def describe(metadata: GraphMetadata) -> dict[str, Any]:
    """Return what a record tells people, by name."""
    config = metadata.config
    preparation = config.preprocessing
    stages = ", ".join(map(str, config.gated_stages)) + (", pruned" if config.pruned else "")
    gates = f"{len(metadata.gates)} in stages {stages}" if metadata.gates else "none (dense)"
    gmacs = gmacs_of(metadata)
    spread = ""
    if metadata.gates:
        *_, (least, cost) = gmacs.items()
        spread = f", gated {cost:.4f} ({least.replace('_', ' ')}) to {gmacs['all_kept']:.4f}"
    return {
        "network": f"{config.backbone}{config.depths_text}, width {config.width:g}, "
        f"{config.shift_text}, {config.consensus} consensus",
        "gates": f"{gates}, {config.gate_text}" if metadata.gates else gates,
        "classes": config.class_names or config.num_classes,
        "input": "float32 (N, "
        + ", ".join(map(str, metadata.input_shape))
        + ")"
        + (", the next frame of N streams" if metadata.mode == "stream" else ""),
        "preprocessing": f"short side {preparation.resize}, centre {preparation.crop} x "
        f"{preparation.crop}, {preparation.channel_order} x {preparation.scale:.6g}, mean "
        f"({in_words(preparation.mean)}), std ({in_words(preparation.std)})",
        "frame_spacing": f"{config.frame_spacing} in training"
        if config.frame_spacing
        else "not recorded",
        "GMACs_per_clip": f"dense {gmacs['dense']:.4f}{spread}",
        "precision": metadata.precision,
        **({"calibration": metadata.calibration} if metadata.calibration else {}),
        "written_by": f"adafuse-deploy {metadata.tool_version}",
    }


def gmacs_of(metadata: GraphMetadata) -> dict[str, float]:
    """Return what a clip costs in 1e9 MACs: without gates, and at the gates' dearest and cheapest.

    Names are dense, all_kept, and all_skipped or, of gates that cannot skip, all_reused.
    """
    import numpy as np

    from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
    from adafuse_deploy.core.cost import clip_macs, dense_macs, gate_widths

    frames = metadata.config.num_segments
    widths = gate_widths(metadata.layers)
    costs = {"dense": dense_macs(metadata.layers, frames)}
    skips = "skip" in metadata.config.gate_actions
    cheapest = ("all_skipped", SKIP) if skips else ("all_reused", REUSE)
    for name, action in (("all_kept", KEEP), cheapest):
        policies = [np.full((1, frames, width), action, np.uint8) for width in widths]
        costs[name] = int(clip_macs(metadata.layers, policies, frames)[0])
    return {name: macs / 1e9 for name, macs in costs.items()}

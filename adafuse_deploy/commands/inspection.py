"""What ``inspect`` tells, the same for every kind of file: what a file does not say is None."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adafuse_deploy.commands.description import Description, describe, gmacs_of, in_words
from adafuse_deploy.core.errors import AdaFuseError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.suffixes import ENGINES, GRAPHS

_OF_SOME = (
    *("parameters", "outputs", "operators", "convolutions", "fused_blocks", "operator_nodes"),
    *("state", "backend", "backend_version", "compute_capabilities", "batch", "calibration"),
    *("training", "epoch", "seed", "evaluation", "test_set"),
    *("built_from", "graph_sha256", "checkpoint_sha256"),
)
"""Facts that only some kinds of files have."""


def inspection(file: Path, found: Description) -> dict[str, Any]:
    """Return everything that is known of a file, plain values for JSON; all kinds have all keys.

    Args:
        file: a checkpoint, graph or engine.
        found: what :func:`~adafuse_deploy.commands.description.read_model` said.
    """
    kind, metadata, details = found
    checkpoint = file.suffix not in (*GRAPHS, *ENGINES)
    config = metadata.config
    rest = {name: value for name, value in details.items() if name not in _OF_SOME}
    sha256 = rest.pop("sha256")
    precision = rest.pop("precision", metadata.precision)
    needed = rest.pop("operator_library", None)
    return {
        "file": str(file),
        "kind": kind,
        "bytes": file.stat().st_size,
        "network": config.summary,
        "mode": None if checkpoint else metadata.mode,
        "precision": precision,
        "gates": _gates(metadata),
        "gmacs_per_clip": gmacs_of(metadata),
        "preprocessing": config.to_dict()["preprocessing"],
        "frame_spacing": config.to_dict().get("frame_spacing"),
        "class_names": list(config.class_names) or None,
        **{name: _known(details.get(name)) for name in _OF_SOME},
        "operator_library": _library(file, metadata, needed),
        "beside": rest,
        "sha256": sha256,
        "written_by": None if checkpoint else metadata.tool_version,
        "metadata": metadata.to_dict(),
    }


def _known(value: Any) -> Any:
    """Return a value, or None for what is empty."""
    return None if value in ("", {}, []) else value


def inspection_lines(values: Mapping[str, Any], metadata: GraphMetadata) -> Iterator[str]:
    """Yield the same as a table of two columns for people, with a dash for what is not said."""
    rows = dict(_rows(values, describe(metadata)))
    width = max(map(len, rows)) + 1
    for name, text in rows.items():
        yield f"  {name + ':':<{width}} {text or '-'}"


def _rows(values: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "kind", str(values["kind"])
    yield "size", f"{values['bytes'] / 1e6:.3g} MB"
    for name in ("network", "gates", "classes", "input"):
        yield name, in_words(said[name])
    yield "outputs", _said(values["outputs"])
    yield "preprocessing", in_words(said["preprocessing"])
    yield "frame spacing", in_words(said["frame_spacing"])
    yield "parameters", _said(values["parameters"])
    yield "GMACs per clip", in_words(said["GMACs_per_clip"])
    yield "precision", values["precision"]
    yield "calibration", _said(values["calibration"])
    yield "operators", _said(values["operators"])
    for name in ("convolutions", "fused_blocks"):
        yield name.replace("_", " "), _said(values[name])
    yield "operator library", _library_text(values["operator_library"])
    state = values["state"]
    size = state and f"{state['bytes_per_stream'] / 1e6:.1f} MB per stream"
    yield "state", f"{state['tensors']} tensors, {size}" if state else ""
    backend = [values["backend"], values["backend_version"]]
    yield "runtime", " ".join(backend) if all(backend) else ""
    yield "compute capabilities", _said(values["compute_capabilities"])
    yield "clips a call", _said(values["batch"])
    yield "trained", _trained(values)
    yield "measured", _measured(values)
    yield "stored beside", ", ".join(values["beside"]) and f"{', '.join(values['beside'])} (--json)"
    yield "built from", _said(values["built_from"])
    yield "graph sha256", values["graph_sha256"]
    yield "checkpoint sha256", values["checkpoint_sha256"]
    yield "sha256", values["sha256"]
    yield "written by", values["written_by"] and f"adafuse-deploy {values['written_by']}"


def _said(value: Any) -> str:
    return "" if value is None else in_words(value)


def _gates(metadata: GraphMetadata) -> dict[str, Any] | None:
    """Return how many gates there are, where, over how many channels, and what they decide."""
    from adafuse_deploy.core.cost import gate_widths

    if not metadata.gates:
        return None
    return {
        "count": len(metadata.gates),
        "stages": list(metadata.config.gated_stages),
        "actions": list(metadata.config.gate_actions),
        "channels": gate_widths(metadata.layers),
    }


def _library(
    file: Path, metadata: GraphMetadata, recorded: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return which library of ours a file calls, whether it can do without, and whether this
    machine has it; None for what calls none.
    """
    if file.suffix in GRAPHS and metadata.operators:
        from adafuse_deploy.ops.library import library_hash, operator_library_path
        from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION

        needed = {"name": "operator library", "required": bool(metadata.portable_name)}
        others = {
            domain: version
            for domain, version in metadata.operators.items()
            if (domain, version) != (DOMAIN, VERSION)
        }
        try:
            path = operator_library_path()
            digest: str | None = library_hash(path)
            reason = f"it has {DOMAIN} {VERSION}, not {in_words(others)}" if others else None
        except AdaFuseError as error:
            digest, reason = None, str(error)
        return {**needed, "here": reason is None, "sha256": digest, "reason": reason}
    if file.suffix in ENGINES and recorded is not None:
        from adafuse_deploy.engines.plugin_library import library_for
        from adafuse_deploy.engines.sidecar import OperatorLibrary

        reason = None
        if not recorded["embedded"]:
            try:
                library_for(file, OperatorLibrary(**recorded))
            except AdaFuseError as error:
                reason = str(error)
        return {
            "name": "plugin library",
            "required": not recorded["embedded"],
            "here": reason is None,
            "sha256": recorded["sha256"],
            "reason": reason,
        }
    return None


def _library_text(library: Mapping[str, Any] | None) -> str:
    if library is None:
        return ""
    use = "required" if library["required"] else "optional, for speed"
    if library["name"] == "plugin library":
        use = "plugins, required" if library["required"] else "plugins, inside of the engine"
    here = "here" if library["here"] else f"not here: {library['reason']}"
    return f"{use}; {here}"


def _trained(values: Mapping[str, Any]) -> str:
    """Return how a network was trained in a line."""
    settings = values["training"] or {}
    shown = {
        "epochs": "{} epochs",
        "batch_size": "batch {}",
        "optimizer": "{}",
        "lr": "lr {:g}",
        "weight_decay": "weight decay {:g}",
        "gate_lr": "gates' lr x {:g}",
        "estimator": "{}",
        "flops_weight": "FLOPs weight {:g}",
    }
    parts = [form.format(settings[name]) for name, form in shown.items() if name in settings]
    for name in ("epoch", "seed"):
        if values[name] is not None:
            parts.append(f"{name} {values[name]}")
    return ", ".join(parts)


def _measured(values: Mapping[str, Any]) -> str:
    """Return what was measured of a network in a line."""
    from adafuse_deploy.evaluation.result import Evaluation

    if values["evaluation"] is None:
        return ""
    try:
        found = Evaluation.from_dict(values["evaluation"])
    except (KeyError, TypeError):
        return "in a form that is not known (--json)"
    videos = values["test_set"] or f"{found.clips} videos"
    return (
        f"top-1 {found.top1:.2f} %, top-5 {found.top5:.2f} %, {found.gmacs:.4g} GMACs per clip "
        f"({100 * found.relative_flops:.1f} % of dense), on {videos}"
    )

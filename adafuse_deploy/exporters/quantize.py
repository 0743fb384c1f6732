"""From a float32 graph and calibration clips to an INT8 graph, with a report of what it costs."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from adafuse_deploy.compare.comparison import Comparison
from adafuse_deploy.compare.graph_reference import GraphReference
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path, sha256
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.engines.onnxruntime_engine import OnnxRuntimeEngine
from adafuse_deploy.exporters.calibration import Observer, Ranges
from adafuse_deploy.graph.qdq import insertion
from adafuse_deploy.graph.qdq.points import activation_points, picture_point, weight_points
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.graph.values import constant

ACTIVATIONS = ("uint8", "int8")


@dataclass(frozen=True)
class QuantizeOptions:
    """How to quantise.

    Attributes:
        calibrator: "max" or "percentile", see :class:`~.calibration.Ranges`.
        percentile: for that calibrator.
        activations: integers of the feature maps: "uint8", which uses all 8 bits of values that are
            never negative, for CPUs; "int8" for TensorRT, which knows no unsigned ones.
    """

    calibrator: str = "max"
    percentile: float = 99.99
    activations: str = "uint8"

    def __post_init__(self) -> None:
        if self.activations not in ACTIVATIONS:
            raise InputError(
                f"Activations are {' or '.join(ACTIVATIONS)}, not {self.activations!r}."
            )


def quantize(
    graph: str | os.PathLike[str],
    output: str | os.PathLike[str],
    clips: Sequence[np.ndarray],
    options: QuantizeOptions | None = None,
    *,
    progress: bool = False,
) -> dict[str, Any]:
    """Write ``graph`` in INT8: post-training, explicit, in standard operators.

    Weights of convolutions are int8 with a scale per output, feature maps 8-bit integers with one
    scale each and zero at zero.  Policy networks, pooled features and the classifier stay float32.
    Ranges are observed while the network makes its own decisions, so they are those of the skips
    and reuses of deployment.

    Args:
        graph: a portable float32 graph, made by 'adafuse-deploy export'.
        output: the ``.onnx`` file to make.
        clips: float32 (T, 3, H, W), prepared as in deployment; some dozens.
        options: calibrator and integer types.
        progress: show how far it is on standard error.

    Returns:
        A report, plain values for JSON: per tensor ``sqnr_db``, signal to quantisation noise in dB;
        and over the clips ``policy_agreement`` and ``top1_agreement`` in per cent and
        ``logits_error``, the largest relative to the RMS, against the float32 graph.

    Raises:
        InputError: no clips, or ``graph`` is lowered, quantised already, or not a clip graph.
        NotFiniteError: the network computes NaN or infinity on a clip.
    """
    options = options or QuantizeOptions()
    model, metadata = read_graph(graph)
    _check(graph, metadata, clips)
    quantized = ir.from_proto(model)
    points = activation_points(quantized.graph)
    picture = picture_point(quantized.graph)
    ranges = Ranges(options.calibrator, options.percentile)
    watched = {str(value.name): value for value in (*points, *([picture] if picture else []))}
    observer = Observer(model, list(watched))
    with atomic_path(output) as temporary:
        for clip in show_progress(clips, "ranges", show=progress, unit="clips"):
            ranges.measure(observer.run(clip))
        if ranges.needs_histograms:
            for clip in show_progress(clips, "histograms", show=progress, unit="clips"):
                ranges.count(observer.run(clip))
        unsigned = [] if options.activations == "int8" else points
        signed = set(watched) - {str(value.name) for value in unsigned}
        scales = {
            name: ranges.magnitude(name)
            / (insertion.SIGNED_MOST if name in signed else insertion.UNSIGNED_MOST)
            for name in watched
        }
        weights = weight_points(quantized.graph)
        layers = _weight_noise(weights)
        insertion.insert(
            quantized.graph,
            {watched[name]: scale for name, scale in scales.items()},
            {watched[name] for name in signed},
            weights,
        )
        described = replace(
            metadata,
            precision="int8",
            calibration={
                "calibrator": options.calibrator,
                **({"percentile": options.percentile} if ranges.needs_histograms else {}),
                "activations": options.activations,
                "clips": len(clips),
                "graph_sha256": sha256(graph),
            },
        )
        quantized.metadata_props.update(described.to_props())
        onnx.save(ir.to_proto(quantized), temporary)
        onnx.checker.check_model(str(temporary))
        layers += _activation_noise(observer, scales, signed, clips, progress)
        return {
            **described.calibration,
            **_agreement(Path(graph), temporary, clips, progress),
            "layers": layers,
        }


def _check(
    graph: str | os.PathLike[str], metadata: GraphMetadata, clips: Sequence[np.ndarray]
) -> None:
    if metadata.portable_name or metadata.precision != "fp32" or metadata.mode != "clip":
        kind = "fused" if metadata.portable_name else f"{metadata.precision} {metadata.mode}"
        raise InputError(
            f"{graph} is a {kind} graph; quantise the portable float32 graph in clip mode that "
            "'adafuse-deploy export' makes, and build engines from the result."
        )
    if not len(clips):
        raise InputError("Quantisation needs clips to observe; give a list with some videos.")


def _weight_noise(weights: Sequence[ir.Value]) -> list[dict[str, Any]]:
    layers = []
    for value in weights:
        weight = constant(value)
        values, scale = insertion.quantize_weight(weight)
        noise = weight - values * scale[:, None, None, None]
        layers.append(
            {
                "name": value.name,
                "kind": "weight",
                "sqnr_db": _decibels(float((weight**2).sum()), float((noise**2).sum())),
            }
        )
    return layers


def _activation_noise(
    observer: Observer,
    scales: dict[str, float],
    signed: set[str],
    clips: Sequence[np.ndarray],
    progress: bool,
) -> list[dict[str, Any]]:
    """Of every feature map by itself, on at most eight clips."""
    power: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for index in show_progress(range(min(8, len(clips))), "noise", show=progress, unit="clips"):
        for name, array in observer.run(clips[index]).items():
            low, high = (-128, 127) if name in signed else (0, 255)
            stored = np.clip(np.rint(array / scales[name]), low, high) * scales[name]
            power[name] += np.square(array).sum(), np.square(array - stored).sum()
    return [
        {
            "name": name,
            "kind": "activation",
            "scale": scales[name],
            "sqnr_db": _decibels(float(signal), float(noise)),
        }
        for name, (signal, noise) in power.items()
    ]


def _decibels(signal: float, noise: float) -> float | None:
    """Return 10 log10 of a ratio, or None where there is no noise or no signal."""
    return 10 * float(np.log10(signal / noise)) if signal > 0 and noise > 0 else None


def _agreement(
    graph: Path, quantized: Path, clips: Sequence[np.ndarray], progress: bool
) -> dict[str, float]:
    full, seen = GraphReference(graph), Comparison()
    with OnnxRuntimeEngine(quantized, operator_library=False) as small:
        for clip in show_progress(clips, "comparing", show=progress, unit="clips"):
            frames = clip[None]
            seen.add(full, frames, full.run(frames), small.run(frames))
    return {
        "policy_agreement": seen.policy_agreement,
        "top1_agreement": seen.top1_agreement,
        "logits_error": seen.logits.relative,
    }

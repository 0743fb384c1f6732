"""Ranges of feature maps, observed while the network runs with its own policies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.engines.backends import BACKENDS

CALIBRATORS = ("max", "percentile")
_BINS = 4096


class Observer:
    """Runs a graph and hands out the values of some of its tensors.

    Args:
        model: a portable graph; it is not changed.
        names: of the tensors (N * T, C, H, W).
    """

    def __init__(self, model: onnx.ModelProto, names: Sequence[str]) -> None:
        ort = BACKENDS["onnxruntime"].load()
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        known = {value.name for value in watched.graph.output}
        for name in names:
            if name not in known:
                kind = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
                watched.graph.output.append(onnx.helper.make_value_info(name, kind))
        self._names = list(names)
        self._session = ort.InferenceSession(
            watched.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def run(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """Return the tensors for one clip (T, 3, H, W)."""
        values = self._session.run(self._names, {"frames": clip[None]})
        return dict(zip(self._names, values, strict=True))


class Ranges:
    """The largest magnitude to represent, per tensor.

    Args:
        calibrator: "max" for the largest seen, "percentile" for the magnitude that ``percentile``
            per cent of the values do not exceed: outliers are clipped, the others finer.
        percentile: as said.

    Raises:
        InputError: an unknown calibrator, or a percentile outside (0, 100].
    """

    def __init__(self, calibrator: str = "max", percentile: float = 99.99) -> None:
        if calibrator not in CALIBRATORS:
            raise InputError(f"Calibrators are {' and '.join(CALIBRATORS)}, not {calibrator!r}.")
        if not 0 < percentile <= 100:
            raise InputError(f"A percentile lies between 0 and 100, not at {percentile:g}.")
        self._percentile = percentile if calibrator == "percentile" else 100.0
        self._largest: dict[str, float] = {}
        self._counts: dict[str, np.ndarray] = {}

    @property
    def needs_histograms(self) -> bool:
        """Whether :meth:`count` must see all clips after :meth:`measure` has."""
        return self._percentile < 100

    def measure(self, values: dict[str, np.ndarray]) -> None:
        """Take note of the largest magnitudes.

        Raises:
            NotFiniteError: a value is NaN or infinite, which no range can hold.
        """
        for name, array in values.items():
            largest = float(np.abs(array).max(initial=0))
            if not np.isfinite(largest):
                raise NotFiniteError(
                    f"The network computes NaN or infinity in {name}, so it has no range to "
                    "represent; its weights are damaged: export it from a good checkpoint."
                )
            self._largest[name] = max(self._largest.get(name, 0.0), largest)

    def count(self, values: dict[str, np.ndarray]) -> None:
        """Add values to the histograms."""
        for name, array in values.items():
            top = self._largest[name] or 1.0
            counts, _ = np.histogram(np.abs(array), _BINS, (0, top))
            self._counts[name] = self._counts.get(name, 0) + counts

    def magnitude(self, name: str) -> float:
        """Return the largest magnitude to represent of a tensor; 1 if it is always zero."""
        top = self._largest[name]
        if top == 0:
            return 1.0
        if not self.needs_histograms:
            return top
        cumulative = np.cumsum(self._counts[name])
        bin = int(np.searchsorted(cumulative, self._percentile / 100 * cumulative[-1]))
        return top * (min(bin, _BINS - 1) + 1) / _BINS

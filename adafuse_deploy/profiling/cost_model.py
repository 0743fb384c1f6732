"""What another policy mix would cost: lines through the profiles of some.

Of every node each phase gets a line over the multiply-accumulates that its time follows::

    conv1, conv2, conv3    those of that convolution
    everything else        those of the node
    nodes without phases   those of the node, where decisions change them

A line whose work does not change is a constant, and so is the time between the nodes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.benchmark.mixes import MIXES
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.read import read_metadata
from adafuse_deploy.profiling.profiler import Mix, ProfileOptions, mix_policies, profile_in_turn
from adafuse_deploy.profiling.report import Profile, Row
from adafuse_deploy.profiling.subject import forced_steps, layers_macs

FITTED = ("dense", "jester")
"""The mixes to fit a model to: the most and the least work of the published ones."""


@dataclass(frozen=True)
class Line:
    """Milliseconds over the multiply-accumulates of some layers.

    Attributes:
        layers: names in the cost table.
        constant: milliseconds without work.
        slope: milliseconds for each multiply-accumulate.
    """

    layers: tuple[str, ...]
    constant: float
    slope: float

    def __call__(self, macs: Mapping[str, float]) -> float:
        """Return milliseconds for the multiply-accumulates of each layer."""
        return self.constant + self.slope * sum(macs[name] for name in self.layers)


class CostModel:
    """Predicts the time of a run.

    Args:
        profiles: of one graph under different policies, on one machine; two at least.

    Raises:
        InputError: there is one alone, or they are of different graphs.
    """

    def __init__(self, profiles: Sequence[Profile]) -> None:
        if len(profiles) < 2:
            raise InputError("A cost model needs the profiles of two policy mixes at least.")
        if len({tuple(row.name for row in p.rows) for p in profiles}) > 1:
            raise InputError("These profiles are not of one graph; take them of the same file.")
        self.lines = [
            _fit(layers, rows, times)
            for rows in zip(*(p.rows for p in profiles), strict=True)
            for layers, times in _parts(rows)
        ]
        self._runtime_ms = float(np.mean([p.runtime_ms for p in profiles]))

    def predict(self, macs: Mapping[str, float]) -> float:
        """Return the milliseconds of a run.

        Args:
            macs: name in the cost table -> what the policies ask of that layer in a run.
        """
        return self._runtime_ms + sum(line(macs) for line in self.lines)


def _parts(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    """Return the layers that a part of a node's time follows, and that part of each profile."""
    layers = tuple(rows[0].layers)
    if not any(row.phases for row in rows):
        yield layers, [row.ms for row in rows]
        return
    for phase in dict.fromkeys(phase for row in rows for phase in row.phases):
        own = tuple(name for name in layers if name.endswith(f".{phase}"))
        yield own or layers, [row.phases.get(phase, 0.0) for row in rows]


def _fit(layers: tuple[str, ...], rows: Sequence[Row], times: Sequence[float]) -> Line:
    """Return the line of least squares."""
    work = np.array([sum(row.layers[name] for name in layers) for row in rows])
    spread = work - work.mean()
    if not spread.any():
        return Line(layers, float(np.mean(times)), 0.0)
    slope = float(spread @ np.array(times) / (spread @ spread))
    return Line(layers, float(np.mean(times)) - slope * float(work.mean()), slope)


def mix_macs(model: str | os.PathLike[str], mix: Mix) -> dict[str, float]:
    """Return what a mix asks of each layer of a graph in a run: that of the policies drawn for it.

    Args:
        model: the graph.
        mix: shares of skip, reuse and keep.
    """
    metadata = read_metadata(model)
    return layers_macs(metadata, forced_steps(metadata, mix_policies(metadata, mix)))


def fit_model(
    model: str | os.PathLike[str],
    options: ProfileOptions | None = None,
    *,
    progress: bool = False,
) -> CostModel:
    """Profile a graph under the mixes of :data:`FITTED`, in turn, and fit a model to them.

    Args:
        model, options, progress: as for :func:`~adafuse_deploy.profiling.profiler.profile`.

    Raises:
        InputError, MissingDependencyError, IncompatibleArtifactError: as for
            :func:`~adafuse_deploy.profiling.profiler.profile_in_turn`.
    """
    mixes = [MIXES[name] for name in FITTED]
    return CostModel(profile_in_turn(model, mixes, None, options, progress=progress))

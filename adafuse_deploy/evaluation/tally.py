"""Counting what a network does, batch after batch; counts of several processes can be added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.cost import Layer, dense_macs, official_gflops
from adafuse_deploy.core.decisions import gate_title
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.evaluation.result import Evaluation, PolicyMix


def check_some(videos: int) -> None:
    """Raise :class:`InputError` if there is nothing to evaluate."""
    if not videos:
        raise InputError("There are no clips to evaluate; check the list.")


class Tally:
    """Counts of hits, costs and actions.

    Args:
        layers: the network's cost table.
        gates: the names of its gates in network order.
        num_classes: K.
        frames: per clip, T.

    Attributes:
        counts: float64 (N,), everything counted so far; sums of several tallies are one of all.
    """

    def __init__(
        self, layers: Sequence[Layer], gates: Sequence[str], num_classes: int, frames: int
    ) -> None:
        self._layers, self._frames, self._classes = layers, frames, num_classes
        self._gates = [gate_title(gate) for gate in gates]
        # Videos, top-5 hits, clips, multiply-accumulates, official GFLOPs; three counts of actions
        # per gate; the confusion matrix.
        self.counts = np.zeros(5 + 3 * len(gates) + num_classes**2)

    def add_clips(self, prediction: Prediction) -> None:
        """Count what clips cost and how their gates decided."""
        clips = len(prediction.logits)
        official = np.broadcast_to(official_gflops(self._layers, prediction.policies), clips)
        self.counts[2:5] += clips, prediction.macs.sum(), official.sum()
        self._actions[:] += [
            [np.count_nonzero(policy == action) for action in (SKIP, REUSE, KEEP)]
            for policy in prediction.policies
        ] or np.zeros((0, 3))

    def add_videos(self, logits: np.ndarray, labels: np.ndarray) -> None:
        """Count hits.

        Args:
            logits: (B, K).
            labels: integers (B,).

        Raises:
            InputError: a label is not one of the network's classes.
        """
        if labels.min() < 0 or labels.max() >= self._classes:
            raise InputError(
                f"A clip has label {labels.max()}, but the network knows {self._classes} classes "
                "counting from 0; evaluate it on the data set it was trained for."
            )
        best = np.argsort(-logits, axis=1, kind="stable")[:, :5]
        self.counts[:2] += len(labels), (best == labels[:, None]).sum()
        np.add.at(self._confusion, (labels, best[:, 0]), 1)

    @property
    def confusion(self) -> np.ndarray:
        """Videos by class (rows) and by what they were taken for (columns), int64 (K, K)."""
        return self._confusion.astype(np.int64)

    def result(self) -> Evaluation:
        """Return the shares and means."""
        videos, top5, clips, macs, official = self.counts[:5]
        mixes = self._actions
        return Evaluation(
            clips=int(videos),
            top1=float(100 * self._confusion.trace() / videos),
            top5=float(100 * top5 / videos),
            gmacs=float(macs / clips / 1e9),
            dense_gmacs=dense_macs(self._layers, self._frames) / 1e9,
            official_gflops=float(official / clips),
            overall=_mix("all", mixes.sum(0)) if self._gates else None,
            gates=tuple(_mix(name, mix) for name, mix in zip(self._gates, mixes, strict=True)),
        )

    @property
    def _actions(self) -> np.ndarray:
        """A view of ``counts``: (gates, 3) of SKIP, REUSE, KEEP."""
        return self.counts[5 : 5 + 3 * len(self._gates)].reshape(-1, 3)

    @property
    def _confusion(self) -> np.ndarray:
        """A view of ``counts``: (K, K)."""
        return self.counts[5 + 3 * len(self._gates) :].reshape(self._classes, self._classes)


def _mix(name: str, counts: np.ndarray) -> PolicyMix:
    skip, reuse, keep = (counts / counts.sum()).tolist()
    return PolicyMix(name, skip, reuse, keep)

"""What an evaluation finds: accuracy, cost, policies, and the confusion of the classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from adafuse_deploy.evaluation.interval import interval


@dataclass(frozen=True)
class PolicyMix:
    """Shares of the actions among all decisions of one gate, or of all gates; they sum to one."""

    name: str
    skip: float
    reuse: float
    keep: float


_RENAMED = {"gflops": "gmacs", "dense_gflops": "dense_gmacs"}
"""What figures were called in version 0.1.0."""


@dataclass(frozen=True)
class Evaluation:
    """How a network did on a set of videos.

    Attributes:
        clips: how many videos there were.
        top1, top5: accuracies in per cent.
        gmacs: billions of multiply-accumulates per clip under the policies, the policy networks'
            own included; papers call them GFLOPs.  Where a video is looked at in several clips or
            crops, of one of them.
        dense_gmacs: the same of the network without gates.
        official_gflops: per *frame*, as the public code reports and counts them, see
            :func:`adafuse_deploy.core.cost.official_gflops`.
        overall: mix of all decisions; None for a dense network.
        gates: mix per gate, in network order.
    """

    clips: int
    top1: float
    top5: float
    gmacs: float
    dense_gmacs: float
    official_gflops: float
    overall: PolicyMix | None
    gates: tuple[PolicyMix, ...]

    @property
    def relative_flops(self) -> float:
        """``gmacs`` as a share of ``dense_gmacs``."""
        return self.gmacs / self.dense_gmacs

    @property
    def top1_interval(self) -> tuple[float, float]:
        """Where top-1 lies with a confidence of 95 %, in per cent."""
        return interval(round(self.top1 * self.clips / 100), self.clips)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and checkpoints."""
        values = {**asdict(self), "relative_flops": self.relative_flops}
        return {**values, "gates": list(values["gates"])}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Rebuild an evaluation from :meth:`to_dict`, of version 0.1.0 too.

        What a file does not record, ``official_gflops``, is NaN.

        Raises:
            KeyError, TypeError: a value is missing, or is none of its kind.
        """
        renamed = {_RENAMED.get(name, name): value for name, value in values.items()}
        values = {"official_gflops": float("nan"), **renamed}
        values = {field.name: values[field.name] for field in fields(cls)}
        overall, gates = values.pop("overall"), values.pop("gates")
        if not isinstance(gates, (list, tuple)):
            raise TypeError("'gates' is no list")
        return cls(
            **_numbers(values),
            overall=None if overall is None else _mix(overall),
            gates=tuple(map(_mix, gates)),
        )


def _mix(values: Any) -> PolicyMix:
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        raise TypeError("a gate's shares have no name")
    return PolicyMix(
        values["name"], **_numbers({name: values[name] for name in ("skip", "reuse", "keep")})
    )


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name!r} is no number")
    return values


@dataclass(frozen=True)
class ClassResult:
    """How one class was recognised.

    Attributes:
        label: the class, counting from 0.
        name: its name, or "class 3" where none is known.
        clips: its videos.
        correct: those whose best class it was.
    """

    label: int
    name: str
    clips: int
    correct: int

    @property
    def accuracy(self) -> float | None:
        """Per cent, or None for a class without videos."""
        return 100 * self.correct / self.clips if self.clips else None


_CONFUSED = 10


class Confusion:
    """Which classes were taken for which.

    Args:
        matrix: int64 (K, K): videos of class ``row`` that were taken for class ``column``.
        class_names: K names, or none.
    """

    def __init__(self, matrix: np.ndarray, class_names: Sequence[str] = ()) -> None:
        self.matrix = matrix
        self.names = list(class_names) or [f"class {label}" for label in range(len(matrix))]

    @property
    def classes(self) -> list[ClassResult]:
        """All classes in order."""
        columns = zip(self.names, self.matrix.sum(1), self.matrix.diagonal(), strict=True)
        return [
            ClassResult(label, name, int(clips), int(correct))
            for label, (name, clips, correct) in enumerate(columns)
        ]

    @property
    def mean_class_accuracy(self) -> float:
        """Mean over the classes that have videos, in per cent."""
        return float(np.mean([c.accuracy for c in self.classes if c.accuracy is not None]))

    @property
    def confused(self) -> list[dict[str, Any]]:
        """The pairs of classes of which one is taken for the other most often, at most ten: how
        many clips, and which share of its class that is.
        """
        others = self.matrix - np.diag(self.matrix.diagonal())
        order = np.argsort(-others, axis=None, kind="stable")[:_CONFUSED]
        pairs = [divmod(int(place), len(others)) for place in order if others.flat[place]]
        return [
            {
                "class": self.names[row],
                "answer": self.names[column],
                "clips": int(others[row, column]),
                "share": float(others[row, column] / self.matrix[row].sum()),
            }
            for row, column in pairs
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "mean_class_accuracy": self.mean_class_accuracy,
            "confused": self.confused,
            "classes": [{**asdict(c), "accuracy": c.accuracy} for c in self.classes],
            "confusion": self.matrix.tolist(),
        }

    def to_csv(self) -> str:
        """Return a table: a line per true class, its accuracy, and a column per predicted class."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        labels = range(len(self.matrix))
        writer.writerow(["class", "name", "clips", "correct", "accuracy", *labels])
        for found, row in zip(self.classes, self.matrix.tolist(), strict=True):
            accuracy = "" if found.accuracy is None else f"{found.accuracy:.6g}"
            writer.writerow([found.label, found.name, found.clips, found.correct, accuracy, *row])
        return text.getvalue()

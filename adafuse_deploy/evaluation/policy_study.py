"""What the gates of a network decide over videos: which channels always the same, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from adafuse_deploy.core.actions import ACTION_NAMES, SKIP
from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.decisions import gate_title
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.labelled import LabelledVideo
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.evaluation.videos import Subject, evaluate_videos


@dataclass(frozen=True)
class GateStudy:
    """The decisions of one gate; all shares lie between 0 and 1.

    Attributes:
        name: of the gate.
        channels: how many it decides over.
        shares: action -> share of all decisions.
        always: action -> share of the channels that take it in every frame of every clip.
        varying: share of the other channels, whose decision depends on what is seen.
        instance_dependent_skips: of the skips, the share in channels that do not always skip; None
            without skips.
        same_within_clip: share of the channels of all clips that take one action in all frames of
            the clip.
    """

    name: str
    channels: int
    shares: dict[str, float]
    always: dict[str, float]
    varying: float
    instance_dependent_skips: float | None
    same_within_clip: float


@dataclass(frozen=True)
class ClassStudy:
    """The videos of one class.

    Attributes:
        name: of the class.
        clips, correct: how many there are, and how many were recognised.
        gmacs: billions of multiply-accumulates per clip.
        saved: share of the network's without gates that was spared.
        shares: action -> share of all decisions.
    """

    name: str
    clips: int
    correct: int
    gmacs: float
    saved: float
    shares: dict[str, float]


@dataclass(frozen=True)
class PolicyStudy:
    """All of it.

    Attributes:
        evaluation: accuracy and cost.
        overall: of all gates together, named "all".
        gates: in network order.
        classes: those that have videos, in order.
    """

    evaluation: Evaluation
    overall: GateStudy
    gates: list[GateStudy]
    classes: list[ClassStudy]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = {name: getattr(self.evaluation, name) for name in _MEASURED}
        return {**values, **{k: v for k, v in asdict(self).items() if k != "evaluation"}}


_MEASURED = ("clips", "top1", "top5", "gmacs", "dense_gmacs")


def study_policies(
    subject: Subject,
    videos: Sequence[LabelledVideo],
    *,
    batch_size: int = 16,
    workers: int = 0,
    progress: bool = False,
) -> PolicyStudy:
    """Run videos, each as one clip, and count what the gates decide.

    Args:
        subject, videos, batch_size, workers, progress: as of
            :func:`~adafuse_deploy.evaluation.videos.evaluate_videos`.

    Raises:
        InputError: the network has no gates; or as there.
        NotFiniteError: as there.
    """
    if not subject.gates:
        raise InputError("A network without gates decides nothing; give one trained with gates.")
    counts = _Counts(subject)
    labels = iter([video.label for video in videos])

    def predict(clips: np.ndarray) -> Prediction:
        prediction = subject.predict(clips)
        counts.add(prediction, [next(labels) for _ in range(len(clips))])
        return prediction

    evaluation, confusion = evaluate_videos(
        replace(subject, predict=predict),
        videos,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    names = [gate_title(gate) for gate in subject.gates]
    ends = np.cumsum([0, *counts.widths])
    ranges = zip(names, ends[:-1], ends[1:], strict=True)
    return PolicyStudy(
        evaluation,
        counts.gate("all", slice(None)),
        [counts.gate(name, slice(start, stop)) for name, start, stop in ranges],
        [
            ClassStudy(
                found.name,
                found.clips,
                found.correct,
                gmacs := counts.macs[found.label] / found.clips / 1e9,
                1 - gmacs / evaluation.dense_gmacs,
                _shares(counts.of_classes[found.label]),
            )
            for found in confusion.classes
            if found.clips
        ],
    )


class _Counts:
    """Decisions so far, the gates' channels side by side.

    Attributes:
        widths: channels of each gate.
        actions: int64 (3, channels): how often each took each action.
        steady: int64 (channels,): in how many clips each took one action in all frames.
        of_classes: int64 (K, 3): decisions of the clips of each class.
        macs: int64 (K,): their multiply-accumulates.
    """

    def __init__(self, subject: Subject) -> None:
        classes = subject.config.num_classes
        self.widths = gate_widths(subject.layers)
        self.actions = np.zeros((len(ACTION_NAMES), sum(self.widths)), np.int64)
        self.steady = np.zeros(sum(self.widths), np.int64)
        self.of_classes = np.zeros((classes, len(ACTION_NAMES)), np.int64)
        self.macs = np.zeros(classes, np.int64)
        self._clips = self._frames = 0

    def add(self, prediction: Prediction, labels: Sequence[int]) -> None:
        policies = np.concatenate(prediction.policies, 2)
        taken = np.stack([policies == action for action in range(len(ACTION_NAMES))])
        self.actions += taken.sum((1, 2))
        self.steady += (policies == policies[:, :1]).all(1).sum(0)
        np.add.at(self.of_classes, list(labels), taken.sum((2, 3)).T)
        np.add.at(self.macs, list(labels), prediction.macs)
        self._clips += policies.shape[0]
        self._frames += policies.shape[0] * policies.shape[1]

    def gate(self, name: str, channels: slice) -> GateStudy:
        """Return what was counted over some channels."""
        actions = self.actions[:, channels]
        always = actions == self._frames
        skips = actions[SKIP]
        return GateStudy(
            name,
            actions.shape[1],
            _shares(actions.sum(1)),
            dict(zip(ACTION_NAMES, always.mean(1).tolist(), strict=True)),
            float(1 - always.any(0).mean()),
            float(skips[~always[SKIP]].sum() / skips.sum()) if skips.any() else None,
            float(self.steady[channels].mean() / self._clips),
        )


def _shares(counts: np.ndarray) -> dict[str, float]:
    return dict(zip(ACTION_NAMES, (counts / counts.sum()).tolist(), strict=True))

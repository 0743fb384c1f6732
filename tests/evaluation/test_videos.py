"""Figures of an evaluation against loops over single videos and single views."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import pytest

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.cost import ChannelGate, Layer
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.frames import FrameArray
from adafuse_deploy.evaluation.result import Confusion
from adafuse_deploy.evaluation.videos import Subject, evaluate_videos
from adafuse_deploy.evaluation.views import Views
from adafuse_deploy.models.registry import model_config

CLASSES, FRAMES, CHANNELS = 7, 3, 4
CONFIG = model_config(
    "adafuse_tsn_resnet18",
    num_classes=CLASSES,
    num_segments=FRAMES,
    preprocessing=Preprocessing(20, 16),
    class_names=[f"action {label}" for label in range(CLASSES)],
)
LAYERS = [
    Layer("conv", "conv", 4000, output=ChannelGate(0, 0, CHANNELS)),
    Layer("fc", "linear", 70),
]


@dataclass
class Video:
    """Noise with a label."""

    clip: np.ndarray
    label: int
    origin: str = "here"

    def open(self):
        return FrameArray(self.clip)


@pytest.fixture(scope="module")
def videos():
    """Sixteen videos of six of the seven classes, of different lengths and shapes."""
    rng = np.random.default_rng(0)
    shapes = [(int(rng.integers(3, 20)), *rng.integers(17, 40, 2), 3) for _ in range(16)]
    return [
        Video(rng.integers(0, 256, shape, np.uint8), index % 6)
        for index, shape in enumerate(shapes)
    ]


def predict(clips: np.ndarray) -> Prediction:
    """Answer by fixed random projections of a clip's corners, each clip by itself."""
    corners = clips[:, :, :, ::15, ::15].reshape(len(clips), -1)
    rng = np.random.default_rng(1)
    logits = corners @ rng.standard_normal((corners.shape[1], CLASSES)).astype(np.float32)
    scores = corners @ rng.standard_normal((corners.shape[1], FRAMES * CHANNELS))
    policy = (np.abs(scores) % 3).astype(np.uint8).reshape(-1, FRAMES, CHANNELS)
    macs = (policy == KEEP).sum((1, 2)) * 1000 + 70
    return Prediction(logits, np.repeat(logits[:, None], FRAMES, 1), [policy], macs)


SUBJECT = Subject(predict, CONFIG, LAYERS, ["backbone.gate"])


@pytest.mark.parametrize("views", [Views(), Views(clips=2, crops=3), Views(clips=3, crops=10)])
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (4, 2), (100, 3)])
def test_against_one_view_at_a_time(views, batch_size, workers, videos):
    result, confusion = evaluate_videos(
        SUBJECT, videos, views, batch_size=batch_size, workers=workers
    )
    matrix = [[0] * CLASSES for _ in range(CLASSES)]
    top5 = macs = 0
    actions = {SKIP: 0, REUSE: 0, KEEP: 0}
    for video in videos:
        total = np.zeros(CLASSES)
        for view in views.cut(video.open(), CONFIG):
            answer = predict(view[None])
            total += answer.logits[0]
            macs += int(answer.macs[0])
            for action in actions:
                actions[action] += int((answer.policies[0] == action).sum())
        ranking = sorted(range(CLASSES), key=lambda label: -total[label])
        matrix[video.label][ranking[0]] += 1
        top5 += video.label in ranking[:5]
    assert confusion.matrix.tolist() == matrix
    correct = sum(matrix[label][label] for label in range(CLASSES))
    assert result.clips == 16
    assert result.top1 == pytest.approx(100 * correct / 16)
    assert result.top5 == pytest.approx(100 * top5 / 16)
    assert result.gmacs == pytest.approx(macs / (16 * views.count) / 1e9)
    assert result.dense_gmacs == pytest.approx(FRAMES * 4070 / 1e9)
    decisions = sum(actions.values())
    assert result.overall.reuse == pytest.approx(actions[REUSE] / decisions)
    assert [result.gates[0].skip, result.gates[0].keep] == pytest.approx(
        [actions[SKIP] / decisions, actions[KEEP] / decisions]
    )
    by_class = [matrix[label][label] / sum(matrix[label]) for label in range(6)]
    assert confusion.mean_class_accuracy == pytest.approx(100 * sum(by_class) / 6)


def test_views_change_the_answer(videos):
    results = [evaluate_videos(SUBJECT, videos, Views(clips, 3))[1] for clips in (1, 2)]
    assert (results[0].matrix != results[1].matrix).any()


def test_confusion_as_plain_values_and_as_a_table():
    confusion = Confusion(np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]]), ["a, b", "c", "d"])
    assert confusion.mean_class_accuracy == pytest.approx((75 + 50) / 2)
    values = confusion.to_dict()
    assert values["confusion"] == [[3, 1, 0], [2, 2, 0], [0, 0, 0]]
    first = {"label": 0, "name": "a, b", "clips": 4, "correct": 3, "accuracy": 75.0}
    assert values["classes"][0] == first and values["classes"][2]["accuracy"] is None
    rows = list(csv.reader(io.StringIO(confusion.to_csv())))
    assert rows[0] == ["class", "name", "clips", "correct", "accuracy", "0", "1", "2"]
    assert rows[1] == ["0", "a, b", "4", "3", "75", "3", "1", "0"]
    assert rows[3] == ["2", "d", "0", "0", "", "0", "0", "0"]
    assert Confusion(np.eye(2, dtype=int)).names == ["class 0", "class 1"]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_evaluated(workers, videos):
    with pytest.raises(InputError, match="no clips"):
        evaluate_videos(SUBJECT, [])
    strange = [*videos, Video(videos[0].clip, 7)]
    with pytest.raises(InputError, match="label 7, but the network knows 7 classes"):
        evaluate_videos(SUBJECT, strange, workers=workers)

    class Broken(Video):
        def open(self):
            raise InputError("it is broken.")

    broken = [*videos[:5], Broken(videos[0].clip, 0, "val.txt line 6"), *videos[5:]]
    with pytest.raises(InputError, match=r"^val.txt line 6: it is broken"):
        evaluate_videos(SUBJECT, broken, workers=workers)

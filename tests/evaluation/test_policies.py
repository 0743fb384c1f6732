"""What gates decide over videos, counted by hand; and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.config import ModelConfig, Preprocessing
from adafuse_deploy.core.cost import ChannelGate, Layer
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.labelled import DrawnVideo
from adafuse_deploy.evaluation.policy_study import study_policies
from adafuse_deploy.evaluation.videos import Subject
from tests.support import run_cli

KEEP, REUSE, SKIP = 0, 1, 2
CONFIG = ModelConfig(
    num_classes=3, num_segments=2, class_names=("a", "b", "c"), preprocessing=Preprocessing(8, 8)
)
LAYERS = [
    Layer("first", "conv", 300, output=ChannelGate(0, 0, 3)),
    Layer("second", "conv", 200, output=ChannelGate(1, 0, 1), input=ChannelGate(0, 0, 3)),
]


def studied(batch_size: int) -> Any:
    """Two clips of class a, one of class c; one gate of three channels, one of a single one."""
    first = [
        [[SKIP, KEEP, KEEP], [SKIP, KEEP, SKIP]],
        [[SKIP, KEEP, REUSE], [SKIP, KEEP, REUSE]],
        [[SKIP, KEEP, SKIP], [SKIP, KEEP, SKIP]],
    ]
    second = [[[KEEP], [KEEP]], [[KEEP], [REUSE]], [[KEEP], [KEEP]]]
    best, macs = [0, 1, 2], [100, 300, 500]
    given = iter(range(3))

    def predict(clips: np.ndarray) -> Prediction:
        chosen = [next(given) for _ in clips]
        logits = np.eye(3, dtype=np.float32)[[best[clip] for clip in chosen]]
        policies = [np.array(values, np.uint8)[chosen] for values in (first, second)]
        frames = np.repeat(logits[:, None], 2, 1)
        return Prediction(logits, frames, policies, np.array(macs)[chosen])

    video = np.zeros((4, 8, 8, 3), np.uint8)
    videos = [DrawnVideo(video, label) for label in (0, 0, 2)]
    subject = Subject(predict, CONFIG, LAYERS, ["backbone.one", "backbone.two"])
    return study_policies(subject, videos, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_counted_by_hand(batch_size: int) -> None:
    study = studied(batch_size)
    one, two = study.gates
    assert (one.name, one.channels, two.name, two.channels) == ("one", 3, "two", 1)
    assert one.shares == pytest.approx({"keep": 7 / 18, "reuse": 2 / 18, "skip": 9 / 18})
    assert one.always == pytest.approx({"keep": 1 / 3, "reuse": 0, "skip": 1 / 3})
    assert one.varying == pytest.approx(1 / 3)
    assert one.instance_dependent_skips == pytest.approx(3 / 9)
    assert one.same_within_clip == pytest.approx(8 / 9)
    assert two.instance_dependent_skips is None and two.varying == 1
    assert study.overall.channels == 4 and study.overall.varying == pytest.approx(2 / 4)
    assert [(c.name, c.clips, c.correct) for c in study.classes] == [("a", 2, 1), ("c", 1, 1)]
    assert study.evaluation.top1 == pytest.approx(200 / 3)
    dense = 2 * (300 + 200)
    assert [c.saved for c in study.classes] == pytest.approx([1 - 200 / dense, 1 - 500 / dense])
    assert study.classes[1].shares == pytest.approx({"keep": 4 / 8, "reuse": 0, "skip": 4 / 8})


def test_networks_without_gates_are_refused() -> None:
    with pytest.raises(InputError, match="decides nothing"):
        study_policies(Subject(SimpleNamespace, CONFIG, [], []), [])


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_verb(
    kind: str, tiny_graph: Path, tiny_checkpoint: Path, listing: Path, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("matplotlib")
    found, figures = tmp_path / "found.json", tmp_path / "figures"
    models = (tiny_graph, tiny_checkpoint)  # of the same name, one exported from the other
    arguments = ("--data", listing, "--figures", figures, "--format", kind, "--json", found)
    assert run_cli("policies", *models, *arguments, "--threads", "1") == 0
    printed = capsys.readouterr().out
    assert "tiny.1: 6 videos" in printed and "Saved most for" in printed
    values = json.loads(found.read_text())
    graph, network = values["models"]
    assert graph["gates"] == network["gates"] and graph["top1"] == network["top1"]
    names = [f"tiny.{n}.{what}.{kind}" for n in (1, 2) for what in ("blocks", "classes")]
    assert values["figures"] == [str(figures / name) for name in [*names, f"accuracy.{kind}"]]
    for path in map(Path, values["figures"]):
        if kind == "png":
            with Image.open(path) as image:
                assert image.width > 600 and len(image.getcolors(1 << 24)) > 20
        else:
            assert "</svg>" in path.read_text()

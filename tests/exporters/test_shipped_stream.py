"""The shipped checkpoint that streams."""

from __future__ import annotations

import numpy as np

from adafuse_deploy.assets import SHIPPED_STREAM
from adafuse_deploy.data.synthetic import CLASS_NAMES, synthetic_clip
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.models.checkpoint import read_checkpoint

SEED, COUNT = 7, 24
"""Videos that neither training nor the recorded test saw, two of each class."""


def test_it_knows_the_actions_on_clips_and_frame_by_frame() -> None:
    videos = [synthetic_clip(index, seed=SEED) for index in range(COUNT)]
    frames, labels = [video for video, _ in videos], [label for _, label in videos]
    with load_engine(SHIPPED_STREAM) as engine:
        answers = engine.classify(frames)
        with engine.stream(COUNT) as stream:
            for images in zip(*(video[::3] for video in frames), strict=True):
                streamed = stream.classify(np.stack(images))
    assert isinstance(answers, list) and isinstance(streamed, list)
    for results in (answers, streamed):
        hits = [answer.best.index == label for answer, label in zip(results, labels, strict=True)]
        assert sum(hits) >= COUNT - 2
    assert {answer.best.name for answer in answers} <= set(CLASS_NAMES)


def test_it_says_how_it_was_made() -> None:
    assert SHIPPED_STREAM.stat().st_size < 5e6
    content = read_checkpoint(SHIPPED_STREAM)
    assert content["config"]["temporal_shift"] == "online"
    assert content["seed"] == 0 and len(content["commands"]) == 3
    streamed = content["streamed"]
    assert streamed["top1_of_single_videos"] > 95 and streamed["top1_in_endless_streams"] > 90
    assert content["evaluation"]["top1"] > 95

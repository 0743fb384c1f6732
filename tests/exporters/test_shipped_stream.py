"""The shipped checkpoint that streams."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from adafuse_deploy.assets import SHIPPED_GRAPH, SHIPPED_STREAM, SHIPPED_STREAM_GRAPH
from adafuse_deploy.data.synthetic import CLASS_NAMES, synthetic_clip
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters import onnx_exporter
from adafuse_deploy.models.checkpoint import read_checkpoint
from tests.support import run_cli

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


def _parts(path: Path) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, object]]:
    """Return a graph without weights and record, its weights, and its record but for versions."""
    model = onnx.load(path)
    weights = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    (record,) = (json.loads(entry.value) for entry in model.metadata_props)
    del record["tool_version"], model.graph.initializer[:], model.metadata_props[:]
    model.ClearField("producer_version")
    return model, weights, record


@pytest.mark.parametrize(
    ("shipped", "mode"),
    [
        (SHIPPED_GRAPH, "clip"),
        pytest.param(SHIPPED_STREAM_GRAPH, "stream", marks=pytest.mark.slow),
    ],
    ids=["clip", "stream"],
)
def test_the_shipped_graphs_are_what_export_makes(shipped: Path, mode: str, tmp_path: Path) -> None:
    made = tmp_path / "model.onnx"
    assert run_cli("export", SHIPPED_STREAM, "--mode", mode, "-o", made) == 0
    assert str(Path(onnx_exporter.__file__).parent).encode() not in made.read_bytes()
    (graph, weights, record), (old_graph, old_weights, old_record) = _parts(made), _parts(shipped)
    assert record == old_record
    assert graph == old_graph
    assert weights.keys() == old_weights.keys()
    for name, value in weights.items():  # processors round the merged normalisations differently
        np.testing.assert_allclose(old_weights[name], value, rtol=1e-5, atol=1e-7, err_msg=name)

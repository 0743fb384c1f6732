"""References run under decisions that they are given, and say what they had decided themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adafuse_deploy.compare.graph_reference import GraphReference
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.gate import fixed
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.compare.support import gate_logits
from tests.support import slow

Make = Callable[..., VideoRecognizer]
ACTIONS = {"keep": KEEP, "reuse": REUSE, "skip": SKIP}
TINY = {
    "size": 32,
    "width": 0.125,
    "num_segments": 4,
    "num_classes": 5,
    "gate_hidden": 16,
    "lstm_hidden": 8,
}


@pytest.mark.parametrize(
    ("name", "mode", "overrides"),
    [
        ("adafuse_tsm_resnet18", "clip", {}),
        slow(
            "adafuse_tsn_resnet18",
            "stream",
            {"gate_actions": ("keep", "skip"), "consensus": "lstm"},
        ),
        (
            "adafuse_tsm_online_resnet18",
            "stream",
            {"gate_actions": ("keep", "reuse"), "gate_layers": 1, "gate_pooling": "max"},
        ),
    ],
)
def test_graph_and_network_are_the_same_reference(
    name: str, mode: str, overrides: dict[str, object], make_model: Make, tmp_path: Path
) -> None:
    model = make_model(name, **TINY, **overrides)
    path = tmp_path / "model.onnx"
    export(model, path, mode=mode)
    rng = np.random.default_rng(2)
    frames = rng.standard_normal((2, 4, 3, 32, 32), np.float32)
    network, graph = TorchReference(model), GraphReference(path)
    plain = model.predict(frames)
    actions = [ACTIONS[action] for action in model.config.gate_actions]
    drawn = [rng.choice(actions, policy.shape).astype(np.uint8) for policy in plain.policies]
    led = model.predict(frames, fixed([torch.from_numpy(policy) for policy in drawn]))
    for reference in (network, graph):
        free, told = reference.run(frames), reference.follow(frames, drawn)
        for got, expected in ((free.prediction, plain), (told.prediction, led)):
            for output in ("logits", "frame_logits"):
                want = getattr(expected, output)
                error = np.abs(getattr(got, output) - want).max()
                assert error <= 1e-5 * np.sqrt(np.mean(want**2))
        for ours, theirs in zip(free.prediction.policies, plain.policies, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # What the gates themselves say under drawn decisions, which differ from those.
    ours, theirs = network.follow(frames, drawn), graph.follow(frames, drawn)
    for mine, its in zip(ours.prediction.policies, theirs.prediction.policies, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert not drawn or (ours.prediction.policies[0] != drawn[0]).any()
    for mine, its in zip(ours.margins, theirs.margins, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-4)
    for clear, logits in zip(network.run(frames).margins, gate_logits(model, frames), strict=True):
        two = logits.sort(-1, descending=True).values[..., :2].numpy()
        rms = np.sqrt(np.mean(logits.numpy() ** 2, (1, 2, 3)))[:, None, None]
        np.testing.assert_allclose(clear, (two[..., 0] - two[..., 1]) / rms, rtol=1e-5, atol=1e-7)

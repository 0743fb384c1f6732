"""The network as trained, in PyTorch: what every engine is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from adafuse_deploy.models.gate import argmax
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.prediction import Prediction


@dataclass(frozen=True)
class Expectation:
    """What engines should answer for a batch.

    Attributes:
        prediction: the network's answer.
        margins: per gate (B, T, C): by how much the chosen action's logit exceeds the next one, in
            units of the root mean square of the gate's logits.
    """

    prediction: Prediction
    margins: list[np.ndarray]


def expect(model: VideoRecognizer, frames: np.ndarray) -> Expectation:
    """Run the network on float32 (B, T, 3, H, W) and note how clear its decisions were."""
    margins: list[np.ndarray] = []

    def decide(logits: Tensor) -> Tensor:
        best = logits.topk(2, -1).values
        scale = logits.square().mean().sqrt().clamp_min(1e-30)
        margins.append(((best[..., 0] - best[..., 1]) / scale).cpu().numpy())
        return argmax(logits)

    return Expectation(model.predict(frames, decide), margins)

"""Networks with a tie, and graphs that settle it otherwise, as another processor's rounding may."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from adafuse_deploy.models.gate import PolicyNetwork, argmax
from adafuse_deploy.models.recognizer import VideoRecognizer

GAP = 1e-6
"""Of the tie, in units of the RMS of the gate's logits."""


def check_clip(model: VideoRecognizer) -> np.ndarray:
    """Return the clip that the checks compare on."""
    size = model.config.preprocessing.crop
    shape = (1, model.config.num_segments, 3, size, size)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@dataclass(frozen=True)
class Tie:
    """A decision that is almost open.

    Attributes:
        gate: index of the gate.
        name: of the gate.
        frame, channel: where in it.
        winner, loser: the two actions.
        rms: of the gate's logits.
    """

    gate: int
    name: str
    frame: int
    channel: int
    winner: int
    loser: int
    rms: float

    def bias(self, action: int) -> tuple[str, int]:
        """Return the name of the bias of the gate's last layer, and where the action's is."""
        return f"{self.name}.fc1.bias", 3 * self.channel + action


def gate_logits(model: VideoRecognizer, frames: np.ndarray) -> list[Tensor]:
    """Return every gate's logits (N, T, C, 3) under the network's own decisions."""
    seen: list[Tensor] = []

    def decide(logits: Tensor) -> Tensor:
        seen.append(logits)
        return argmax(logits)

    model.predict(frames, decide)
    return seen


def with_tie(model: VideoRecognizer, gate: int) -> tuple[VideoRecognizer, Tie]:
    """Return the network with a bias moved so that a decision of ``gate`` is almost open.

    It is the closest decision on the checks' clip.  The gate must share no layers with others.
    """
    assert not model.config.shared_policy
    tied, frames = copy.deepcopy(model), check_clip(model)
    network = [m for m in tied.modules() if isinstance(m, PolicyNetwork)][gate]
    tie = None
    for _ in range(3):  # the second time removes what rounding left
        logits = gate_logits(tied, frames)[gate][0]
        best = logits.topk(2, -1)
        gaps = best.values[..., 0] - best.values[..., 1]
        if tie is None:
            frame, channel = divmod(int(gaps.argmin()), gaps.shape[1])
            winner, loser = best.indices[frame, channel].tolist()
            rms = float(logits.square().mean().sqrt())
            tie = Tie(gate, tied.gate_names()[gate], frame, channel, winner, loser, rms)
        here = logits[tie.frame, tie.channel]
        excess = here[tie.winner] - here[tie.loser] - GAP * tie.rms
        with torch.no_grad():
            network.fc1.bias[tie.bias(tie.winner)[1]] -= excess
    assert tie is not None
    return tied, tie


def move_number(proto: onnx.ModelProto, name: str, index: int, amount: float) -> None:
    """Add ``amount`` to a number of the constant whose name ends with ``name``."""
    (tensor,) = (t for t in proto.graph.initializer if t.name.endswith(name))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[index] += amount
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

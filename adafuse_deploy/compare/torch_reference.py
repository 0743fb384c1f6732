"""The network as trained, in PyTorch, as a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from adafuse_deploy.compare.reference import Expectation, margins
from adafuse_deploy.core.finite import check_logits
from adafuse_deploy.models.gate import PolicyNetwork, argmax, fixed
from adafuse_deploy.models.recognizer import VideoRecognizer


class TorchReference:
    """See :class:`~adafuse_deploy.compare.reference.Reference`.

    Args:
        model: the network; its own decisions are the argmax, as in deployment.
    """

    def __init__(self, model: VideoRecognizer) -> None:
        self._model = model

    def run(self, frames: np.ndarray) -> Expectation:
        """Run clips under the network's own decisions.

        Raises:
            NotFiniteError: the network answers with NaN or infinity.
        """
        return self._run(frames, None)

    def follow(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Expectation:
        """Run clips under given decisions.

        Raises:
            NotFiniteError: the network answers with NaN or infinity.
        """
        return self._run(frames, policies)

    def _run(self, frames: np.ndarray, policies: Sequence[np.ndarray] | None) -> Expectation:
        given = None if policies is None else fixed([torch.from_numpy(p) for p in policies])
        own: list[np.ndarray] = []
        clear: list[np.ndarray] = []
        networks = (m for m in self._model.modules() if isinstance(m, PolicyNetwork))

        def decide(logits: Tensor) -> Tensor:
            clear.append(margins(logits.float().cpu().numpy()))
            decisions = argmax(logits)
            own.append(next(networks).policy(decisions).cpu().numpy().astype(np.uint8))
            return decisions if given is None else given(logits)

        prediction = self._model.predict(frames, decide)
        check_logits(prediction.logits, "PyTorch")
        return Expectation(replace(prediction, policies=own), clear)

"""The network as trained, in PyTorch, as a reference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

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
        features: list[np.ndarray] = []
        networks = (m for m in self._model.modules() if isinstance(m, PolicyNetwork))

        def read(network: nn.Module, arguments: tuple[Tensor, int]) -> None:
            pooled, count = arguments
            if pooled.is_meta:  # the copy that counts operations has the hooks too
                return
            rows = pooled.float().cpu().numpy().reshape(-1, count, pooled.shape[-1])
            own_features = rows.shape[-1] // 2 if network.history else 0  # behind the previous
            features.append(rows[..., own_features:])

        def decide(logits: Tensor) -> Tensor:
            clear.append(margins(logits.float().cpu().numpy()))
            decisions = argmax(logits)
            own.append(next(networks).policy(decisions).cpu().numpy().astype(np.uint8))
            return decisions if given is None else given(logits)

        with ExitStack() as hooks:
            for module in self._model.modules():
                if isinstance(module, PolicyNetwork):
                    hooks.enter_context(module.register_forward_pre_hook(read))
            prediction = self._model.predict(frames, decide)
        check_logits(prediction.logits, "PyTorch")
        return Expectation(replace(prediction, policies=own), clear, features)

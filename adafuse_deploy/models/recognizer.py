"""The whole network: backbone on every frame, then consensus."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import Layer, clip_macs
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import StateTensor
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.models.bninception import BNInception
from adafuse_deploy.models.consensus import AverageConsensus, LSTMConsensus
from adafuse_deploy.models.forward import ForwardPass
from adafuse_deploy.models.gate import Decide, PolicyNetwork, argmax
from adafuse_deploy.models.layers import ConvBN
from adafuse_deploy.models.resnet import ResNet
from adafuse_deploy.models.stream import StreamPass


class Output(NamedTuple):
    """What a forward pass returns.

    Attributes:
        logits: (N, K).
        frame_logits: (N, T, K).
        policies: per gate int32 (N, T, C) of actions, or (N, T, C, 3) of weights in training.
    """

    logits: Tensor
    frame_logits: Tensor
    policies: list[Tensor]


class VideoRecognizer(nn.Module):
    """An AdaFuse, TSN or TSM network for action recognition.

    Args:
        config: what to build; kept as ``self.config``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = BNInception(config) if config.backbone == "bninception" else ResNet(config)
        consensus = LSTMConsensus if config.accumulates else AverageConsensus
        self.consensus = consensus(config, self.backbone.channels)
        self._layers: dict[int, list[Layer]] = {}

    def forward(self, frames: Tensor, decide: Decide = argmax) -> Output:
        """Run clips through the network.

        Args:
            frames: normalised float (N, T, 3, H, W).
            decide: how gates turn logits into policies, see :mod:`adafuse_deploy.models.gate`.
        """
        return self._run(frames, ForwardPass(frames.shape[1], decide))

    def step(
        self, frame: Tensor, history: Sequence[Tensor] | None = None, decide: Decide = argmax
    ) -> tuple[Output, list[Tensor]]:
        """Run one frame of every stream.

        Frame after frame this gives what a single clip of all the frames gives.

        Args:
            frame: normalised float (N, 3, H, W).
            history: the state that the frame before left; None at the beginning.
            decide: how gates turn logits into (hard) policies.

        Returns:
            The frame's output, with T = 1, and the state for the next frame.

        Raises:
            InputError: the network needs later frames.
        """
        run = StreamPass(decide, history)
        output = self._run(frame[:, None], run)
        return output, run.state

    def _run(self, frames: Tensor, run: ForwardPass) -> Output:
        maps = self.backbone(frames.flatten(0, 1), run)
        features = run.pool(maps, adaptive=self.backbone.adaptive_pool)
        logits, frame_logits = self.consensus(features, run)
        return Output(logits, frame_logits, run.policies)

    @torch.no_grad()
    def predict(self, frames: np.ndarray | Tensor, decide: Decide = argmax) -> Prediction:
        """Recognise normalised clips with hard policies.

        Args:
            frames: float32 (B, T, 3, H, W), normalised as ``config.preprocessing`` says; T must be
                ``config.num_segments``.
            decide: argmax as in deployment, or ``gate.sampled()`` as in the paper's evaluation.

        Raises:
            InputError: the array has another shape.
        """
        frames = torch.as_tensor(frames)
        check_clip_shape(tuple(frames.shape), self.config.num_segments)
        device = next(self.parameters()).device
        was_training = self.training
        self.eval()
        try:
            output = self(frames.to(device, torch.float32), decide)
        finally:
            self.train(was_training)
        policies = [policy.cpu().numpy().astype(np.uint8) for policy in output.policies]
        layers = self.layers(frames.shape[-1])
        return Prediction(
            output.logits.float().cpu().numpy(),
            output.frame_logits.float().cpu().numpy(),
            policies,
            clip_macs(layers, policies, frames.shape[1], len(frames)),
        )

    def gate_names(self) -> list[str]:
        """Return the names of the policy networks in network order."""
        return [name for name, m in self.named_modules() if isinstance(m, PolicyNetwork)]

    def layers(self, size: int | None = None) -> list[Layer]:
        """Return the cost table of the network for ``size`` x ``size`` frames.

        ``size`` is ``config.preprocessing.crop`` unless given.
        """
        size = self.config.preprocessing.crop if size is None else size
        if size not in self._layers:
            # On the meta device shapes are computed and nothing else is.
            model = copy.deepcopy(self).to("meta", torch.float32).eval()
            names = {module: name for name, module in model.named_modules()}
            run = ForwardPass(self.config.num_segments, argmax, names)
            with torch.no_grad():
                clip = torch.empty(1, self.config.num_segments, 3, size, size, device="meta")
                model._run(clip, run)
            self._layers[size] = run.layers
        return self._layers[size]

    def state(self, size: int | None = None) -> list[StateTensor]:
        """Return what :meth:`step` leaves for the next frame of ``size`` x ``size``, in order.

        Raises:
            InputError: the network needs later frames.
        """
        size = self.config.preprocessing.crop if size is None else size
        model = copy.deepcopy(self).to("meta", torch.float32).eval()
        run = StreamPass(argmax)
        with torch.no_grad():
            model._run(torch.empty(1, 1, 3, size, size, device="meta"), run)
        return [
            StateTensor.named(index, kind, tuple(tensor.shape[1:]), str(tensor.dtype)[6:])
            for index, (kind, tensor) in enumerate(zip(run.kinds, run.state, strict=True))
        ]

    def deployed(self) -> VideoRecognizer:
        """Return a copy for inference: evaluation mode, every normalisation merged."""
        model = copy.deepcopy(self).eval()
        for module in model.modules():
            if isinstance(module, (ConvBN, PolicyNetwork)):
                module.fold()
        return model.requires_grad_(False)


def check_clip_shape(shape: tuple[int, ...], frames: int) -> None:
    """Raise :class:`InputError` unless ``shape`` is (B, ``frames``, 3, H, W)."""
    if len(shape) != 5 or shape[1] != frames or shape[2] != 3:
        raise InputError(
            f"Clips must have shape (B, {frames}, 3, H, W), not {tuple(shape)}; "
            "adafuse_deploy.open_clip prepares a video that way."
        )

"""From per-frame features to the clip's logits (the consensus G of TSN, arXiv 1608.00859)."""

from __future__ import annotations

from torch import Tensor, nn

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.models.forward import ForwardPass


class AverageConsensus(nn.Module):
    """A linear classifier per frame; the clip's logits are the mean over its frames."""

    def __init__(self, config: ModelConfig, features: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(features, config.num_classes)
        nn.init.normal_(self.fc.weight, 0, 0.001)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor, run: ForwardPass) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and frame logits (N, T, K) from features (N * T, C)."""
        frames = run.linear(self.dropout(features), self.fc).unflatten(0, (-1, run.frames))
        return frames.mean(1), frames


class LSTMConsensus(nn.Module):
    """An LSTM over the frames and a linear classifier; the last frame speaks for the clip."""

    def __init__(self, config: ModelConfig, features: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, config.lstm_hidden, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(config.lstm_hidden, config.num_classes)

    def forward(self, features: Tensor, run: ForwardPass) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and frame logits (N, T, K) from features (N * T, C)."""
        states = run.recur(self.lstm, features)
        frames = run.linear(self.dropout(states), self.fc).unflatten(0, (-1, run.frames))
        return frames[:, -1], frames

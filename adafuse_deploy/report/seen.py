"""What a page shows of the clips that ran: decisions over all of them, maps of the first few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import Layer
from adafuse_deploy.core.decisions import DecisionCounts, policy_map
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.report.pictures import thumbnails

SHOWN = 8
"""How many videos have a policy map."""


class Seen:
    """Watches clips as they run, in their order.

    Args:
        config: of the network.
        layers: its cost table.
        gates: the names of its gates.
        about: returns the name and, if known, the class of the video of a number.
        views: clips and crops of each video, of which the first is shown.
        with_pictures: keep small pictures of the frames that are shown.

    Attributes:
        pictures: per map the addresses of its frames.
    """

    def __init__(
        self,
        config: ModelConfig,
        layers: Sequence[Layer],
        gates: Sequence[str],
        about: Callable[[int], tuple[str, int | None]],
        *,
        views: int = 1,
        with_pictures: bool = False,
    ) -> None:
        self._config, self._about, self._views = config, about, views
        self._with_pictures = with_pictures
        self._counts = DecisionCounts(layers, gates)
        self._maps: list[dict[str, Any]] = []
        self.pictures: list[list[str]] = []

    def add(self, frames: np.ndarray | None, prediction: Prediction) -> None:
        """Look at a batch.

        Args:
            frames: float32 (B, T, 3, H, W), or None where they are not at hand.
            prediction: of it.
        """
        first = self._counts.clips
        steps = prediction.policies[0].shape[1] if prediction.policies else 0
        steps = steps or self._config.num_segments
        self._counts.add(prediction.policies, steps, len(prediction))
        for index in range(len(prediction)):
            video, view = divmod(first + index, self._views)
            if view == 0 and len(self._maps) < SHOWN:
                self._show(None if frames is None else frames[index], prediction[index], video)

    def _show(self, clip: np.ndarray | None, prediction: Prediction, number: int) -> None:
        labels, best = self._config.labels, int(prediction.top(1)[0, 0])
        video, truth = self._about(number)
        self._maps.append(
            {
                "video": video,
                "class": None if truth is None else labels[truth],
                "answer": labels[best],
                "probability": float(prediction.probabilities[0, best]),
                "gmacs": int(prediction.macs[0]) / 1e9,
                **policy_map(prediction.policies),
            }
        )
        if self._with_pictures and clip is not None:
            self.pictures.append(thumbnails(clip, self._config.preprocessing))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**self._counts.to_dict(), "policy_maps": self._maps}

"""The interface of every engine: frames in, a Prediction out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from adafuse_deploy.errors import InputError
from adafuse_deploy.macs import clip_macs
from adafuse_deploy.metadata import GraphMetadata
from adafuse_deploy.prediction import Prediction


class Engine(ABC):
    """A network ready to run in one runtime.  One thread at a time may use it, any thread.

    A backend sets the attributes and implements :meth:`_infer` and :meth:`_release`.

    Attributes:
        name: the runtime in words, such as "onnxruntime + operator library".
        metadata: what the network is and how its input is prepared.
    """

    name: str
    metadata: GraphMetadata
    _closed = False

    def run(self, frames: np.ndarray) -> Prediction:
        """Recognise clips.

        Args:
            frames: float32 (B, T, 3, H, W), normalised as ``metadata.config.preprocessing`` says.

        Raises:
            InputError: the array has another type or shape.
        """
        if self._closed:
            raise RuntimeError(f"The {self.name} engine is closed; open it again with load_engine.")
        frames = np.asarray(frames)
        check_frames(frames, self.metadata.clip_shape)
        logits, frame_logits, *actions = self._infer(np.ascontiguousarray(frames))
        policies = [policy.astype(np.uint8) for policy in actions]
        macs = clip_macs(self.metadata.layers, policies, frames.shape[1])
        return Prediction(logits, frame_logits, policies, np.broadcast_to(macs, len(frames)).copy())

    def close(self) -> None:
        """Free what the engine holds; calling it twice does no harm."""
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def _infer(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        """Return logits, frame logits (float32) and policies (any integer) for checked frames."""

    @abstractmethod
    def _release(self) -> None:
        """Free the runtime's objects."""


def check_frames(frames: np.ndarray, clip_shape: tuple[int, int, int, int]) -> None:
    """Raise :class:`InputError` unless ``frames`` is float32 (B, *clip_shape).

    Args:
        frames: what a caller gave.
        clip_shape: (T, 3, H, W) of the engine.
    """
    segments, channels, height, width = clip_shape
    wanted = f"float32 (B, {segments}, {channels}, {height}, {width})"
    advice = "adafuse_deploy.open_clip prepares a video that way"
    if frames.dtype != np.float32:
        raise InputError(f"Clips must be normalised {wanted}, not {frames.dtype}; {advice}.")
    if frames.ndim != 5 or frames.shape[1:] != clip_shape:
        raise InputError(f"Clips must have shape {wanted}, not {frames.shape}; {advice}.")

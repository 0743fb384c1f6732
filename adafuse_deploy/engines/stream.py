"""Streams: the next frame in, what is known so far out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.cost import MacsCounter
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.finite import check_input, check_logits
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.arrays import as_array
from adafuse_deploy.engines.stepper import Stepper
from adafuse_deploy.engines.stream_consensus import make_consensus

if TYPE_CHECKING:
    from adafuse_deploy.engines.classification import Classification


class Stream:
    """B streams that advance together, one frame of each at a time.

    Made by :meth:`Engine.stream`, as in ``with engine.stream() as s: p = s.push(frame)``.  A stream
    belongs to one thread at a time; several streams of one engine, each in a thread of its own, do
    not touch each other's state.

    Attributes:
        streams: B.
        frames: int64 (B,), how many frames each stream has seen since its beginning.
        state_bytes: memory that the state of one stream takes, however long it runs.
    """

    def __init__(
        self,
        metadata: GraphMetadata,
        stepper: Stepper,
        check_open: Callable[[], None],
        streams: int,
        *,
        name: str,
        consensus: str | None,
        window: int,
        decay: float,
    ) -> None:
        config = metadata.config
        kind = consensus or ("last" if config.accumulates else "mean")
        self.streams = streams
        self.state_bytes = stepper.state_bytes
        self.frames = np.zeros(streams, np.int64)
        self._consensus = make_consensus(kind, streams, config.num_classes, window, decay)
        self._counter = MacsCounter(metadata.layers)
        self._metadata = metadata
        self._stepper: Stepper | None = stepper
        self._check_open = check_open
        self._name = name
        self._policies: list[np.ndarray] = []

    def push(self, frame: np.ndarray) -> Prediction:
        """Recognise the next frame of every stream.

        Args:
            frame: float32 (B, 3, H, W), or (3, H, W) for one stream, normalised as
                ``metadata.config.preprocessing`` says.

        Returns:
            ``logits`` (B, K) of the consensus over the frames so far; ``frame_logits`` (B, 1, K),
            ``policies`` (B, 1, C) and ``macs`` (B,) of this frame.

        Raises:
            InputError: the array has another type or shape, or NaN or infinity in it; the streams
                stay where they were.
            NotFiniteError: the logits have NaN or infinity in them, and so may the state.
        """
        self._check_open()
        if self._stepper is None:
            raise RuntimeError("The stream is closed; open another with engine.stream().")
        frame = self._checked(as_array(frame))
        check_input(frame)
        logits, *actions = self._stepper.step(frame)
        check_logits(logits, self._name)
        policies = [action.astype(np.uint8)[:, None] for action in actions]
        # At the beginning nothing is missing, as after a frame that kept everything.
        before = self._policies or [np.zeros_like(policy) for policy in policies]
        macs = self._counter.next_frames(policies, before, self.streams)
        self._policies = policies
        self.frames += 1
        return Prediction(
            self._consensus.update(logits),
            logits[:, None],
            policies,
            macs,
        )

    def classify(
        self, images: np.ndarray, *, top: int = 5
    ) -> Classification | list[Classification]:
        """Say what the next frame of every stream shows: :meth:`push` for decoded frames.

        Args:
            images: uint8 (H, W, 3), RGB, of the one stream, or (B, H, W, 3).
            top: how many labels.

        Returns:
            Labels with probabilities of the consensus, the best first; for (B, H, W, 3) a list of
            B such.

        Raises:
            InputError: the array has another type or shape.
        """
        from adafuse_deploy.data.transforms import preprocess
        from adafuse_deploy.engines.classification import classifications

        config = self._metadata.config
        images = as_array(images)
        single = images.ndim == 3
        self._check_images(images)
        frames = preprocess(images[None] if single else images, config.preprocessing)
        results = classifications(self.push(frames), config, top)
        return results[0] if single else results

    def reset(self, index: int | None = None) -> None:
        """Begin stream ``index`` anew, or all of them.

        Raises:
            InputError: there is no such stream.
        """
        if index is not None and index not in range(self.streams):
            raise InputError(f"There is no stream {index!r}; there are {self.streams}, from 0 on.")
        which = slice(None) if index is None else index
        if self._stepper is not None:
            self._stepper.reset(which)
        self._consensus.reset(which)
        self.frames[which] = 0
        # Predictions that were handed out keep their policies.
        self._policies = [policy.copy() for policy in self._policies]
        for policy in self._policies:
            policy[which] = 0

    def close(self) -> None:
        """Free the state; calling it twice does no harm."""
        self._stepper = None

    def __repr__(self) -> str:
        state = f"{self.state_bytes / 1e6:.2f} MB each"
        seen = "closed"
        if self._stepper is not None:
            shown = ", ".join(map(str, self.frames[:5])) + (", ..." if self.streams > 5 else "")
            seen = f"frames seen: {shown}"
        return f"<Stream: {self.streams} of {self._metadata.summary}; {seen}; {state}>"

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_images(self, images: np.ndarray) -> None:
        """Refuse what is not one decoded frame of every stream."""
        one = images.ndim == 3 and self.streams == 1
        every = images.ndim == 4 and len(images) == self.streams
        if images.dtype != np.uint8 or not (one or every) or images.shape[-1] != 3:
            wanted = "(H, W, 3)" if self.streams == 1 else f"({self.streams}, H, W, 3)"
            raise InputError(
                f"The next decoded frame of {self._many} must be uint8 {wanted}, RGB, not "
                f"{images.dtype} {images.shape}; normalised frames are for push()."
            )

    @property
    def _many(self) -> str:
        return "the stream" if self.streams == 1 else f"{self.streams} streams"

    def _checked(self, frame: np.ndarray) -> np.ndarray:
        shape = (self.streams, *self._metadata.frame_shape)
        if frame.dtype != np.float32:
            raise InputError(
                f"Frames must be normalised float32 {shape}, not {frame.dtype}; "
                "adafuse_deploy.preprocess prepares decoded frames that way, or use classify()."
            )
        if self.streams == 1 and frame.shape == shape[1:]:
            return frame[None]
        if frame.shape != shape:
            raise InputError(
                f"The next frame of {self._many} must have shape {shape}, not {frame.shape}."
            )
        return frame

"""The interface of every engine: clips, or the frames of streams, in; a Prediction out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from adafuse_deploy.core.cost import MacsCounter
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.finite import check_input, check_logits
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.arrays import as_array
from adafuse_deploy.engines.stepper import Stepper
from adafuse_deploy.engines.stream import Stream

if TYPE_CHECKING:
    from adafuse_deploy.engines.classification import Classification, Video


class Forced(NamedTuple):
    """What an engine answers to a clip under given decisions.

    Attributes:
        prediction: its logits, and what its policy networks decide.
        features: per gate float32 (1, T, F): what its policy network reads of each frame; none
            where the engine does not show it.
    """

    prediction: Prediction
    features: list[np.ndarray]


class Engine(ABC):
    """A network ready to run in one runtime; :func:`adafuse_deploy.load_engine` opens one.

    Several threads may call :meth:`run`, :meth:`classify` and :meth:`stream` of one engine.  ONNX
    Runtime and, on a CPU, PyTorch then compute at the same time; the others take turns.  Close an
    engine when no thread uses it any more.  A :class:`Stream` belongs to one thread at a time.

    A backend sets the attributes and implements :meth:`_infer`, :meth:`_stepper` or both, and
    :meth:`_release`.

    Attributes:
        name: the runtime in words, such as "onnxruntime + operator library".
        metadata: what the network is and how its input is prepared.
        max_batch: how many clips it takes at a time; None for any number.
        skips_work: it leaves out what the policies leave out, instead of computing every channel.
    """

    name: str
    metadata: GraphMetadata
    max_batch: int | None = None
    skips_work: bool = False
    _closed = False

    def run(self, frames: np.ndarray) -> Prediction:
        """Recognise clips.  What was exported for streams takes them frame by frame.

        Args:
            frames: float32 (B, T, 3, H, W), normalised as ``metadata.config.preprocessing`` says.

        Raises:
            InputError: the array has another type or shape, no clip, or NaN or infinity in it.
            NotFiniteError: the logits have NaN or infinity in them.
        """
        self._check_open()
        frames = as_array(frames)
        check_frames(frames, self.metadata.clip_shape)
        if self.metadata.mode == "stream":
            return self._run_as_streams(frames)
        check_input(frames)
        return self._prediction(self._infer(np.ascontiguousarray(frames)), frames)

    def _prediction(self, arrays: Sequence[np.ndarray], frames: np.ndarray) -> Prediction:
        logits, frame_logits, *actions = arrays
        check_logits(logits, self.name)
        policies = [policy.astype(np.uint8) for policy in actions]
        macs = self._counter.per_clip(policies, frames.shape[1], len(frames))
        return Prediction(logits, frame_logits, policies, macs)

    @overload
    def classify(
        self,
        videos: str | os.PathLike[str],
        *,
        top: int = 5,
        template: str | None = None,
        repeat_last: bool = False,
        strict: bool = False,
    ) -> Classification: ...

    @overload
    def classify(
        self,
        videos: Video | Sequence[Video],
        *,
        top: int = 5,
        template: str | None = None,
        repeat_last: bool = False,
        strict: bool = False,
    ) -> Any: ...

    def classify(
        self,
        videos: Video | Sequence[Video],
        *,
        top: int = 5,
        template: str | None = None,
        repeat_last: bool = False,
        strict: bool = False,
    ) -> Classification | list[Classification]:
        """Say what a video shows: ``engine.classify("video.mp4").best.name``.

        Of every video the centre frames of T segments are taken and prepared as
        ``metadata.config`` says.

        Args:
            videos: a video file, a folder of frames, or at least T decoded frames, which are images
                uint8 (H, W, 3), RGB, or an array (F, H, W, 3) of them; or several videos: a list of
                those, or an array (B, F, H, W, 3).
            top: how many labels.
            template: file names in folders of frames, such as ``img_{:05d}.jpg``; found out by
                default.
            repeat_last: accept videos of fewer than T frames and repeat their last one.
            strict: refuse a video file with damaged frames instead of warning.

        Returns:
            Labels with probabilities, the best first; for several videos a list of such.

        Raises:
            InputError: a video is missing, damaged or too short, or an array has another type or
                shape; of several videos the message says which.
        """
        from adafuse_deploy.engines.classification import classify

        return classify(
            self.run,
            self.metadata.config,
            videos,
            top=top,
            template=template,
            repeat_last=repeat_last,
            strict=strict,
        )

    @cached_property
    def _counter(self) -> MacsCounter:
        return MacsCounter(self.metadata.layers)

    def stream(
        self,
        streams: int = 1,
        *,
        consensus: str | None = None,
        window: int = 8,
        decay: float = 0.9,
    ) -> Stream:
        """Open streams, to be given one frame after another.

        Args:
            streams: how many advance together, B.
            consensus: how the frames' logits become one answer: "mean" of all, mean of the last
                ``window`` frames, "ema" (exponential moving average), or the "last" frame's; by
                default "mean", or "last" after an LSTM, which remembers by itself.
            window: frames of "window".
            decay: of "ema": how much a frame weighs relative to the next.

        Raises:
            InputError: the engine runs clips only, or an argument is out of range.
        """
        self._check_open()
        if not isinstance(streams, (int, np.integer)) or streams < 1:
            raise InputError(f"There must be at least 1 stream, not {streams!r}.")
        return Stream(
            self.metadata,
            self._stepper(streams),
            self._check_open,
            streams,
            name=self.name,
            consensus=consensus,
            window=window,
            decay=decay,
        )

    def run_forced(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Forced:
        """Run a clip under given decisions.

        Policy networks still decide, and the result shows what: each of them can be compared
        without the consequences of those before it.

        Args:
            frames: float32 (1, T, 3, H, W).
            policies: per gate integers (1, T, C) of KEEP/REUSE/SKIP.

        Raises:
            InputError: this kind of engine takes no decisions.
            NotFiniteError: the logits have NaN or infinity in them.
        """
        raise InputError(
            f"Decisions can be given to graphs in ONNX Runtime and OpenVINO, not to {self.name}; "
            "try with the graph that it was made from."
        )

    def _run_shown(self, frames: np.ndarray, shown: int) -> Forced:
        """Run a clip in an engine whose last ``shown`` outputs are policy networks' features."""
        if not shown:
            return Forced(self.run(frames), [])
        arrays = list(self._infer(np.ascontiguousarray(frames)))
        features = [array.reshape(1, frames.shape[1], -1) for array in arrays[-shown:]]
        return Forced(self._prediction(arrays[:-shown], frames), features)

    def close(self) -> None:
        """Free what the engine holds; calling it twice does no harm."""
        if not self._closed:
            self._closed = True
            self._release()

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<{type(self).__name__}: {self.metadata.summary}; {self.name}{closed}>"

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"The {self.name} engine is closed; open it again with load_engine.")

    def _run_as_streams(self, clips: np.ndarray) -> Prediction:
        with self.stream(len(clips)) as stream:
            steps = [stream.push(frame) for frame in clips.swapaxes(0, 1)]
        policies = zip(*(step.policies for step in steps), strict=True)
        return Prediction(
            steps[-1].logits,
            np.concatenate([step.frame_logits for step in steps], 1),
            [np.concatenate(policy, 1) for policy in policies],
            np.sum([step.macs for step in steps], 0),
        )

    @abstractmethod
    def _infer(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        """Return logits, frame logits (float32) and policies (any integer) for checked clips."""

    def _stepper(self, streams: int) -> Stepper:
        """Return the state of ``streams`` new streams."""
        raise InputError(
            f"The {self.name} engine runs clips of {self.metadata.config.num_segments} frames, not "
            "streams: make a graph with 'adafuse-deploy export CHECKPOINT --mode stream' and load "
            "that."
        )

    @abstractmethod
    def _release(self) -> None:
        """Free the runtime's objects."""


def check_frames(frames: np.ndarray, clip_shape: tuple[int, int, int, int]) -> None:
    """Raise :class:`InputError` unless ``frames`` is float32 (B, *clip_shape), B at least 1.

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
    if not len(frames):
        raise InputError(f"There is no clip in a batch of shape {frames.shape}; give at least one.")

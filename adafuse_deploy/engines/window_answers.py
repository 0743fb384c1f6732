"""What a network says of every window of a long video, in one pass over its frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.feed import A_MOMENT, Frame
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.data.windows import Window, window_clips
from adafuse_deploy.engines.engine import Engine


def clip_windows(
    engine: Engine, frames: Iterable[Frame], windows: list[Window]
) -> Iterator[Prediction]:
    """Yield the prediction of every window's clip, as of windows that know nothing of each other.

    Args:
        engine: for clips.
        frames: all of the video, in order.
        windows: as of :func:`~adafuse_deploy.data.windows.cut_windows`.

    Raises:
        InputError: the video has no frame, or a frame cannot be used.
    """
    config = engine.metadata.config
    for clip in window_clips(frames, windows, config.num_segments, config.preprocessing):
        yield engine.run(clip[None])


def stream_windows(
    engine: Engine, frames: Iterable[Frame], windows: list[Window]
) -> Iterator[Prediction]:
    """Yield a prediction for every window while one stream runs through the whole video.

    A window's logits are the mean of those of its steps or, after an LSTM, the last step's; a step
    knows all frames before it.  A window without a step has the last step before it.

    Args:
        engine: for streams.
        frames: one for every step, in order, with the step's time.
        windows: as of :func:`~adafuse_deploy.data.windows.cut_windows`.

    Returns:
        Predictions of one clip; ``frame_logits`` (1, n, K) and ``policies`` (1, n, C) are those of
        the window's n steps, and ``macs`` what T of them cost in the mean.

    Raises:
        InputError: the video has no frame, or a frame cannot be used.
    """
    config = engine.metadata.config
    steps: deque[tuple[float, Prediction]] = deque()
    first: float | None = None
    following = 0

    def answer() -> Prediction:
        window = windows[following]
        while len(steps) > 1 and steps[1][0] <= window.start + A_MOMENT:
            steps.popleft()
        begin, end = window.start - A_MOMENT, window.end - A_MOMENT
        inside = [step for time, step in steps if begin <= time < end]
        return _joined(inside or [steps[0][1]], config.accumulates, config.num_segments)

    with engine.stream(consensus="last") as stream:
        for frame in frames:
            first = frame.seconds if first is None else first
            time = frame.seconds - first
            while following < len(windows) and steps and time >= windows[following].end - A_MOMENT:
                yield answer()
                following += 1
            if frame.begins:
                stream.reset()
            image = preprocess(frame.image[None], config.preprocessing)
            steps.append((time, stream.push(image)))
    if not steps:
        raise InputError("There is no frame in the video; record or download it again.")
    while following < len(windows):
        yield answer()
        following += 1


def _joined(steps: list[Prediction], accumulates: bool, num_segments: int) -> Prediction:
    """Return one prediction for the steps of a window."""
    frame_logits = np.concatenate([step.frame_logits for step in steps], 1)
    policies = [np.concatenate(gate, 1) for gate in zip(*(s.policies for s in steps), strict=True)]
    macs = np.mean([step.macs for step in steps], 0) * num_segments
    logits = frame_logits[:, -1] if accumulates else frame_logits.mean(1)
    return Prediction(logits, frame_logits, policies, macs.astype(np.int64))

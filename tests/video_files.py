"""Small video files in many formats, and their frames beside those of decoding everything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from adafuse_deploy.data.video import VideoFile

COUNT, HEIGHT, WIDTH = 40, 48, 64
X264 = {"g": "8", "keyint_min": "8", "preset": "medium", "sc_threshold": "0"}
X265 = "keyint=8:min-keyint=8:scenecut=0:bframes=3:log-level=none:pools=1:"


def moving(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Uint8 (count, height, width, 3): smooth noise that moves, and a little that does not."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8 + 12, width // 8 + 12, 3), np.uint8)
    wide = coarse.repeat(8, 0).repeat(8, 1)
    frames = np.stack([wide[n : n + height, 2 * n % 90 :][:, :width] for n in range(count)])
    return frames // 2 + rng.integers(0, 64, frames.shape, np.uint8)


def encode(
    path: Path,
    codec: str,
    options: dict[str, str] | None = None,
    *,
    frames: np.ndarray | None = None,
    times: Sequence[int] | None = None,
    pixels: str = "yuv420p",
    edit: Callable[[list[av.Packet]], Iterable[av.Packet]] = lambda packets: packets,
    **container_options: str,
) -> Path:
    """Encode at 25 frames a second, or with frames at ``times`` in hundredths of a second."""
    pictures = moving() if frames is None else frames
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], pixels
        stream.codec_context.time_base = Fraction(1, 100)
        packets = []
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = Fraction(1, 100)
            frame.pts = 4 * number if times is None else times[number]
            packets += stream.encode(frame)
        for packet in edit([*packets, *stream.encode(None)]):
            container.mux(packet)
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    with av.open(f"file:{path}") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def check(path: Path, caplog: pytest.LogCaptureFixture, doubt: str | None = None) -> None:
    """Compare frames asked for in several ways with all; ``doubt`` is why all are decoded."""
    every = decode_all(path)
    last = len(every) - 1
    some = [[last], [0], [last // 2, last // 2 + 1], [last, 1, 1, last // 3], range(last + 1)]
    for wanted in some:
        caplog.clear()
        with caplog.at_level(logging.INFO, "adafuse_deploy"):
            video = VideoFile(path)
            found = video.frames(wanted)
            assert video.num_frames == len(every)
        for number, frame in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(frame, every[number])
        reasons = [record.getMessage() for record in caplog.records]
        if doubt is None:
            assert not reasons
        else:
            assert len(reasons) == 1 and doubt in reasons[0], reasons


def earlier(packets: list[av.Packet]) -> list[av.Packet]:
    """Begin before time zero, so that MP4 gets an edit list that leaves pictures out."""
    for packet in packets:
        packet.pts -= 22
        packet.dts -= 22
    return packets

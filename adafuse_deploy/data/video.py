"""Video files through PyAV: the frames asked for, in display order, as upright RGB images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.data.frames import stack
from adafuse_deploy.errors import InputError
from adafuse_deploy.files import atomic_path

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer


class VideoFile:
    """The first video stream of a file.

    Attributes:
        path: the file.
        num_frames: how many frames it shows.  The container's own count is believed only when it
            equals the number of stored packets; otherwise the whole stream is decoded once.

    Raises:
        InputError: the file is missing, is not a video, or shows no frame.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.num_frames = self._count()
        if self.num_frames == 0:
            raise InputError(f"{self.path} contains no frame; record or download it again.")

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the frames at ``indices`` (from 0, any order): uint8 (T, H, W, 3), RGB.

        Decoding runs from the start to the last index, which is exact for every codec and
        container; seeking is not.  Rotation stored by phones is applied.

        Raises:
            InputError: a frame cannot be decoded.
        """
        wanted = {int(index) for index in indices}
        found: dict[int, np.ndarray] = {}
        with self._open() as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    found[index] = upright(frame)
                if len(found) == len(wanted):
                    break
        if missing := sorted(wanted - set(found)):
            raise InputError(
                f"{self.path} ends before frame {missing[0]} although it announces "
                f"{self.num_frames} frames; it is truncated: record or download it again."
            )
        return stack([found[int(index)] for index in indices], self.path)

    def _count(self) -> int:
        with self._open() as container:
            announced = container.streams.video[0].frames
            packets = sum(
                packet.size > 0 and not packet.is_discard for packet in container.demux(video=0)
            )
        if announced == packets:
            return announced
        with self._open() as container:
            return sum(1 for _ in container.decode(video=0))

    @contextmanager
    def _open(self) -> Iterator[InputContainer]:
        import av

        if not self.path.is_file():
            raise InputError(f"There is no video file {self.path}; check the path.")
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise InputError(f"{self.path} has no video stream, only other media.")
                yield container
        except av.FFmpegError as error:
            raise InputError(
                f"{self.path} cannot be decoded ({error.strerror}): it is damaged or not a video; "
                "record it again or convert it to .mp4."
            ) from error


def upright(frame: VideoFrame) -> np.ndarray:
    """Return a decoded frame as uint8 (H, W, 3) RGB with the rotation stored by phones applied."""
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))


def write_video(path: str | os.PathLike[str], frames: np.ndarray, *, fps: int = 8) -> None:
    """Encode uint8 (T, H, W, 3) RGB frames: H.264 where FFmpeg has it, MPEG-4 part 2 otherwise.

    Raises:
        InputError: height or width is odd, which these codecs' colour format cannot store, or the
            file cannot be written.
    """
    import av

    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise InputError(f"Videos need even sides, not {width} x {height}; choose an even size.")
    h264 = "libx264" in av.codecs_available
    # Near-lossless: constant rate factor 18, or a fixed quantiser of 2 (times FF_QP2LAMBDA).
    options = {"crf": "18"} if h264 else {"flags": "+qscale", "global_quality": str(2 * 118)}
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264" if h264 else "mpeg4", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())

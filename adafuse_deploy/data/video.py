"""Video files through PyAV: the frames asked for, in display order, as upright RGB images."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np

from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.data.bitstreams import Doubt
from adafuse_deploy.data.container_index import ContainerIndex, is_listed
from adafuse_deploy.data.frames import FrameSource, Indices
from adafuse_deploy.data.media import check_local, file_url, open_video
from adafuse_deploy.data.orientation import upright
from adafuse_deploy.data.packet_index import PacketIndex

log = logging.getLogger(__name__)


class VideoFile(FrameSource):
    """The first video stream of a file.

    Frames are those that the decoder shows if it decodes the whole file.  Where the file's packets
    tell for sure which those are (:mod:`adafuse_deploy.data.packet_index`), only what the wanted
    frames need is decoded, of long files not even the other packets are read where the container
    lists them (:mod:`adafuse_deploy.data.container_index`); everything otherwise, and the log says
    why.  Then stored packets are only a first guess at the number of frames: a file cut from a
    longer one begins with pictures that cannot be decoded and are left out.

    Args:
        path: the file.
        strict: refuse a file in which the decoder marks frames as damaged, or that ends early;
            by default there is a warning.  To find out, everything is decoded.
        quiet: do not warn.

    Attributes:
        complaints: what is wrong with the file though it can be used, in words.
        seconds: from the beginning of the first stored picture to the end of the last; None where
            the file does not tell.

    Raises:
        InputError: the file is missing, is not a video, or holds no frame.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, strict: bool = False, quiet: bool = False
    ) -> None:
        check_local(path)
        self.path, self.strict, self.quiet = Path(path), strict, quiet
        self.complaints: list[str] = []
        self.seconds: float | None = None
        with ExitStack() as stack:
            self._streams = stack.enter_context(open_video(path))
            self._index = self._read_index(stack)
            self._doubt = self._check_index()
            # Opening costs as much as decoding some frames: the first are read from what is open.
            self._opened: ExitStack | None = stack.pop_all()
        if self._doubt:
            self._close()
        if not self._index.stored:
            raise self._empty()
        self._told = False
        self._shown: int | None = None
        if not self._doubt:
            self._shown = self._index.stored

    @property
    def num_frames(self) -> int:
        """How many frames the decoder shows; the whole file is decoded if packets do not tell."""
        if self._shown is None:
            self._decode(())
        assert self._shown is not None
        return self._shown

    def frames(self, indices: Indices) -> list[np.ndarray]:
        """Return the frames at ``indices`` (from 0, any order): T images uint8 (H, W, 3), RGB.

        They are the same, pixel by pixel, whether the whole file is decoded or only parts.
        Rotation and mirroring stored by cameras are applied.  Damage is seen where it is decoded.

        Raises:
            InputError: a frame cannot be decoded, or ``strict`` refuses the file.
        """
        found = self._find(indices)
        if missing := sorted({int(index) for index in indices} - set(found)):
            raise InputError(
                f"{self.path} ends before frame {missing[0]}: it shows {self._shown} frames; "
                "record or download it again."
            )
        return [found[int(index)] for index in indices]

    def sample(self, choose: Callable[[int], Indices]) -> list[np.ndarray]:
        """Return the frames that ``choose`` picks for the number of frames that are shown.

        Raises:
            InputError: as :meth:`frames`.
        """
        guess = self._index.stored if self._shown is None else self._shown
        indices = choose(guess)
        found = self._find(indices)
        if self._shown != guess:
            return self.frames(choose(self.num_frames))
        return [found[int(index)] for index in indices]

    def check(self) -> None:
        """Decode every frame, to see whether all can be.

        Raises:
            InputError: one cannot, or ``strict`` refuses the file.
        """
        self._decode(())

    def _empty(self) -> InputError:
        return InputError(f"{self.path} contains no frame; record or download it again.")

    def _find(self, indices: Indices) -> dict[int, np.ndarray]:
        """Return the frames at ``indices`` that are there."""
        if not self._doubt:
            try:
                opened, self._opened = self._opened, None
                with opened or ExitStack() as stack:
                    if not opened:
                        self._streams = stack.enter_context(open_video(self.path))
                    frames = self._index.decode(*self._streams, map(int, indices))
                    return {number: upright(frame) for number, frame in frames}
            except (Doubt, InputError) as doubt:
                if isinstance(self._index, ContainerIndex):
                    self._read_packets()
                    return self._find(indices)
                unreadable = isinstance(doubt, InputError)
                self._doubt = "a frame cannot be decoded" if unreadable else str(doubt)
        log.info("%s is decoded from beginning to end: %s.", self.path, self._doubt)
        return self._decode(indices)

    def _decode(self, indices: Indices) -> dict[int, np.ndarray]:
        """Decode every frame and return those at ``indices`` that are there."""
        wanted = {int(index) for index in indices}
        found: dict[int, np.ndarray] = {}
        shown, damaged = 0, 0
        with open_video(self.path) as (container, stream):
            for frame in container.decode(stream):
                if shown in wanted:
                    found[shown] = upright(frame)
                shown += 1
                damaged += frame.is_corrupt
        if not shown:
            raise self._empty()
        if damaged and not self._told:
            self._told = True
            self._complain(f"the decoder marks {damaged} of its {shown} frames as damaged")
        self._shown, self.damaged = shown, damaged
        return found

    def _read_index(self, stack: ExitStack) -> ContainerIndex | PacketIndex:
        """Return the container's own index of a long file, if it tells, or one of all packets."""
        if is_listed(*self._streams):
            try:
                return ContainerIndex(*self._streams, self.path.stat().st_size)
            except Doubt:  # after some packets
                self._streams = stack.enter_context(open_video(self.path))
        return PacketIndex.of(*self._streams)

    def _read_packets(self) -> None:
        """Go by all packets after the container's index turned out not to vouch for them."""
        with open_video(self.path) as streams:
            self._index = PacketIndex.of(*streams)
        self._doubt = self._index.doubt
        self._shown = None if self._doubt else self._index.stored

    def _check_index(self) -> str:
        """Return why the frames cannot be found by the index, in words."""
        index, (_, stream) = self._index, self._streams
        if index.begin is not None and stream.time_base is not None:
            self.seconds = float((index.end - index.begin) * stream.time_base)
        announced, start = stream.duration or 0, stream.start_time or 0
        doubt = index.doubt
        if index.end - start < 0.9 * announced:
            self._complain("it ends long before the end that it announces")
            doubt = "it ends early"
        if self.strict:
            doubt = "every frame is to be checked"
        return doubt

    def _close(self) -> None:
        if self._opened:
            self._opened.close()
            self._opened = None

    def _complain(self, reason: str) -> None:
        if self.strict:
            raise InputError(f"{self.path} is damaged: {reason}; record or download it again.")
        self.complaints.append(reason)
        if not self.quiet:
            warnings.warn(InputWarning(f"{self.path} is damaged: {reason}."), stacklevel=2)


def encoder() -> tuple[Literal["libx264", "mpeg4"], dict[str, str]]:
    """Return FFmpeg's name of the encoder that videos are written with, and its options."""
    import av

    # Near-lossless: constant rate factor 18, or a fixed quantiser of 2 (times FF_QP2LAMBDA).
    if "libx264" in av.codecs_available:
        return "libx264", {"crf": "18"}
    return "mpeg4", {"flags": "+qscale", "global_quality": str(2 * 118)}


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
    name, options = encoder()
    with atomic_path(path) as temporary, av.open(file_url(temporary), "w") as container:
        stream = container.add_stream(name, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())

"""An index of a video's packets, and decoding no more than the frames that are asked for need.

Decoding begins at the last picture before a wanted frame that needs nothing before it, and ends
with that frame's own packet.  The frames are those that decoding everything gives: whatever the
index cannot vouch for is a :class:`~adafuse_deploy.data.bitstreams.Doubt`, and what the decoder
gives is compared with what the index foretells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import TYPE_CHECKING, Protocol

import numpy as np

from adafuse_deploy.data.bitstreams import BEGINS, DISPOSABLE, Doubt, Inspect, Picture, inspector

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream


THREADED_RUN = 16
"""Packets in a row, on average, from which on it pays to decode several frames at a time."""


class PacketIndex:
    """Where the frames of a video stream are.

    Args:
        packets: of the stream, all that are stored or those from one key frame to another.
        inspect: looks at their content; or why nothing can, in words.

    Attributes:
        stored: how many pictures are stored and not cut off by the container's edit list.
        begin: the first time stamp, in the stream's time base; None if there is none.
        end: the last one and the duration of its packet.
        doubt: why frames cannot be found by their packets, in words; empty if they can.
    """

    def __init__(self, packets: Iterable[Packet], inspect: Inspect | str) -> None:
        self.stored, self.doubt = 0, inspect if isinstance(inspect, str) else ""
        pictures: list[Picture] = []
        times: list[int] = []
        ends: list[int] = []
        begin: int | None = None
        self._seeks: dict[int, tuple[int, ...]] = {}
        for packet in packets:
            pts = packet.pts
            if packet.size and not packet.is_discard:
                self.stored += 1
            if pts is not None:
                ends.append(pts + (packet.duration or 0))
                if begin is None or pts < begin:
                    begin = pts
            if packet.size and not self.doubt:
                assert not isinstance(inspect, str)
                try:
                    picture = inspect(_checked(packet, pts))
                    if picture is BEGINS:
                        self._seeks[len(times)] = _seek_times(packet)
                    pictures.append(picture)
                    times.append(pts)  # type: ignore[arg-type]
                except Doubt as doubt:
                    self.doubt = str(doubt)
                except IndexError:
                    self.doubt = "a packet is damaged"
        self.begin, self.end = begin, max(ends, default=0)
        self._times = np.array([] if self.doubt else times, np.int64)
        self._starts = np.array([n for n, p in enumerate(pictures) if p is BEGINS], np.int64)
        self._disposable = {number for number, p in enumerate(pictures) if p is DISPOSABLE}
        if not self.doubt:
            self.doubt = self._disorder()
        self._shown = np.argsort(self._times, kind="stable")
        self._number = dict(zip(self._times[self._shown].tolist(), count(), strict=False))
        self._place = dict(zip(self._times.tolist(), count(), strict=False))

    def _disorder(self) -> str:
        """Return what is wrong with starts and times, in words."""
        if len(self._starts) == 0 or self._starts[0] != 0:
            return "it does not begin with a key frame"
        first = np.minimum.reduceat(self._times, self._starts)
        last = np.maximum.reduceat(self._times, self._starts)
        if (np.diff(np.sort(self._times)) == 0).any():
            return "time stamps repeat"
        if (first[1:] <= last[:-1]).any():
            return "time stamps of its groups overlap"
        return ""

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> PacketIndex:
        """Read all packets of a stream just opened."""
        context = stream.codec_context
        inspect: Inspect | str
        try:
            inspect = inspector(context.name, context.extradata or b"")
        except Doubt as doubt:
            inspect = str(doubt)
        return cls(container.demux(stream), inspect)

    def begins(self, place: int) -> bool:
        """Whether decoding can begin with the packet at ``place``."""
        return place in self._seeks

    def runs(self, wanted: Iterable[int]) -> Iterator[list[int]]:
        """Yield which packets to decode without a break for the frames ``wanted``, in order.

        Frames that do not exist are passed over.
        """
        places = sorted(int(self._shown[n]) for n in wanted if 0 <= n < len(self._shown))
        groups: dict[int, list[int]] = {}
        for place in places:
            start = int(self._starts[np.searchsorted(self._starts, place, "right") - 1])
            groups.setdefault(start, []).append(place)
        for start, inside in groups.items():
            spared = self._disposable.difference(inside)
            yield [n for n in range(start, inside[-1] + 1) if n not in spared]

    def decode(
        self, container: InputContainer, stream: VideoStream, wanted: Iterable[int]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames ``wanted`` with their numbers, ascending.

        Args:
            container, stream: of the same file, of which no frame was decoded.
            wanted: numbers of frames, from 0.

        Raises:
            Doubt: the file is not as the index has it, or a frame is damaged or interlaced.
        """
        wanted = set(wanted)
        runs = list(self.runs(wanted))
        use_threads(stream, list(map(len, runs)))
        yield from self.shown(_Reader(container, stream), runs, wanted)

    def shown(
        self, reader: PacketReader, runs: Iterable[list[int]], wanted: set[int]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Decode ``runs`` and yield the frames ``wanted``; as :meth:`decode`."""
        for run in runs:
            expected = iter(sorted(self._times[run].tolist()))
            reader.seek(run[0], self._seeks[run[0]], self._place)
            for frame in reader.decode(run, self._times):
                time = frame.pts
                if time is None or time != next(expected, None):
                    raise Doubt("the decoder shows other frames than are stored")
                if frame.is_corrupt:
                    raise Doubt("a frame is damaged")
                if frame.interlaced_frame:
                    raise Doubt("it is interlaced")
                number = self._number[time]
                if number in wanted:
                    yield number, frame
            if next(expected, None) is not None:
                raise Doubt("the decoder shows fewer frames than are stored")


def use_threads(stream: VideoStream, runs: list[int]) -> None:
    """Decode several frames at a time if it pays for runs of so many packets."""
    if sum(runs) >= THREADED_RUN * len(runs):
        stream.thread_type = "AUTO"


class PacketReader(Protocol):
    """Decodes packets of a stream by their place."""

    def seek(self, place: int, times: tuple[int, ...], places: dict[int, int]) -> None:
        """Go to the packet at ``place`` and forget what was decoded."""
        ...

    def decode(self, places: list[int], times: np.ndarray) -> Iterator[VideoFrame]:
        """Decode the packets at ``places``, ascending from where the reader is."""
        ...


class _Reader:
    """Packets of an open stream by their place in the file."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._packets: Iterator[Packet] = iter(())
        self._place = -1

    def seek(self, place: int, times: tuple[int, ...], places: dict[int, int]) -> None:
        """Go to the packet at ``place``.

        Args:
            place: number of the packet.
            times: the time stamps by which containers may know it.
            places: the packets' numbers by the time when they are shown.
        """
        if self._place >= 0:
            self._stream.codec_context.flush_buffers()
        if place == self._place:
            return
        for time in times:
            self._container.seek(time, stream=self._stream)
            packets = self._container.demux(self._stream)
            for packet in packets:
                found = -1 if packet.pts is None else places.get(packet.pts, -1)
                if found == place:
                    self._packets, self._place = chain([packet], packets), place
                    return
                if found > place:
                    break
        raise Doubt("seeking does not reach its key frames")

    def decode(self, places: list[int], times: np.ndarray) -> Iterator[VideoFrame]:
        """Decode the packets at ``places``, ascending from where the reader is."""
        context = self._stream.codec_context
        for place in places:
            for packet in self._packets:
                if packet.pts != times[self._place]:
                    raise Doubt("reading it again gives other packets")
                self._place += 1
                if self._place > place:
                    break
            else:
                raise Doubt("reading it again gives fewer packets")
            yield from context.decode(packet)
        yield from context.decode(None)


def _checked(packet: Packet, pts: int | None) -> memoryview:
    """Return the content of a packet that stands for one frame at a known time."""
    if packet.is_corrupt:
        raise Doubt("a packet is damaged")
    if packet.is_discard:
        raise Doubt("its edit list leaves pictures out")
    if pts is None:
        raise Doubt("it does not say when frames are shown")
    return memoryview(packet)


def _seek_times(packet: Packet) -> tuple[int, ...]:
    """Return the time stamps by which a container may know a packet: when shown, when decoded."""
    times = (packet.pts, packet.dts)
    return tuple(time for time in times if time is not None)

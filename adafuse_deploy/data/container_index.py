"""Frames of a long MP4 file by the container's own index, without reading what nobody looks at.

MP4 lists every sample with its place, decoding time and whether decoding can begin with it, and a
sample is one picture (ISO/IEC 14496-12 and -15).  Between two pictures that need nothing before
them, as many pictures are shown as are stored; so the numbers of frames are known without reading
packets, and only groups with a wanted frame are read and looked at, as
:mod:`adafuse_deploy.data.packet_index` does with all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.data.bitstreams import Doubt, inspector
from adafuse_deploy.data.packet_index import PacketIndex, use_threads

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

FEWEST = 3000
"""Pictures of a file from which on it pays not to read all; about two minutes."""
LARGEST_GROUP = 1000
"""Pictures that are held in memory as packets."""
_KEY, _DISCARD = 1, 2
_MIXED = ("avc3", "avc4", "hev1")
"""Sample entries whose pictures may need parameter sets that any sample before them brought."""


def is_listed(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a container lists its pictures, so many that it pays not to read all packets.

    PyAV 15 does not give the list.
    """
    told = container.format.name.startswith("mov") and hasattr(stream, "index_entries")
    return told and stream.frames >= FEWEST


class ContainerIndex:
    """Where the frames of a video stream are, as the container tells.

    Args:
        container, stream: just opened; packets of the first and the last group are read.
        size: of the file, in bytes.

    Attributes:
        stored: how many pictures there are.
        begin: the first time stamp, in the stream's time base.
        end: the last one and the duration of its packet.

    Raises:
        Doubt: the container's index cannot vouch for the frames' numbers.
    """

    doubt = ""

    def __init__(self, container: InputContainer, stream: VideoStream, size: int) -> None:
        if stream.codec_context.codec_tag in _MIXED:
            raise Doubt("its parameter sets may change on the way")
        entries = ((e.pos, e.size, e.timestamp, e.flags) for e in stream.index_entries)
        fields = np.fromiter(chain.from_iterable(entries), np.int64)
        places, sizes, times, flags = fields.reshape(-1, 4).T
        self.stored = len(times)
        if self.stored != stream.frames or (flags & _DISCARD).any() or (sizes <= 0).any():
            raise Doubt("its edit list leaves pictures out")
        if (np.diff(times) <= 0).any() or (places + sizes > size).any():
            raise Doubt("its index is damaged")
        starts = np.flatnonzero(flags & _KEY)
        if not len(starts) or starts[0] != 0:
            raise Doubt("it does not begin with a key frame")
        self._starts = np.append(starts, self.stored)
        if np.diff(self._starts).max() > LARGEST_GROUP:
            raise Doubt("its key frames are far apart")
        self._times, self._sizes = times, sizes
        context = stream.codec_context
        self._inspect = inspector(context.name, context.extradata or b"")
        first, _ = self._read(container, stream, 0)
        last, _ = self._read(container, stream, len(starts) - 1)
        assert first.begin is not None
        self.begin, self.end = first.begin, last.end

    def decode(
        self, container: InputContainer, stream: VideoStream, wanted: Iterable[int]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames ``wanted`` with their numbers, ascending.

        Args:
            container, stream: of the same file, of which no frame was decoded.
            wanted: numbers of frames, from 0; those that do not exist are passed over.

        Raises:
            Doubt: the file is not as the index has it, or a frame is damaged or interlaced.
        """
        groups: dict[int, list[int]] = {}
        for number in sorted({number for number in wanted if 0 <= number < self.stored}):
            group = int(np.searchsorted(self._starts, number, "right")) - 1
            groups.setdefault(group, []).append(number - int(self._starts[group]))
        use_threads(stream, [numbers[-1] + 1 for numbers in groups.values()])
        reader = _Held(stream)
        for group, numbers in groups.items():
            index, reader.packets = self._read(container, stream, group)
            for number, frame in index.shown(reader, index.runs(numbers), set(numbers)):
                yield int(self._starts[group]) + number, frame

    def _read(
        self, container: InputContainer, stream: VideoStream, group: int
    ) -> tuple[PacketIndex, list[Packet]]:
        """Return the packets of a group and what they tell, the next key frame's with them."""
        import av

        begin, end = int(self._starts[group]), int(self._starts[group + 1])
        places = slice(begin, min(end + 1, self.stored))
        try:
            # Seeking goes by when pictures are shown: the last one's decoding time is later than
            # the key frame of its group and earlier than the next.
            container.seek(int(self._times[end - 1]), stream=stream)
            packets = list(islice(container.demux(stream), places.stop - begin))
        except av.FFmpegError as error:
            raise Doubt("seeking fails") from error
        found = [(packet.dts, packet.size) for packet in packets]
        if found != [*zip(self._times[places], self._sizes[places], strict=True)]:
            raise Doubt("its packets are not those of its index")
        index = PacketIndex(packets, self._inspect)
        if index.doubt:
            raise Doubt(index.doubt)
        if not index.begins(0) or (end < self.stored and not index.begins(end - begin)):
            raise Doubt("a key frame needs pictures before it")
        return index, packets


class _Held:
    """Packets in memory by their place, read as those of a file."""

    def __init__(self, stream: VideoStream) -> None:
        self.packets: list[Packet] = []
        self._stream, self._begun = stream, False

    def seek(self, place: int, times: tuple[int, ...], places: dict[int, int]) -> None:
        """Forget what was decoded; packets are at hand."""
        if self._begun:
            self._stream.codec_context.flush_buffers()
        self._begun = True

    def decode(self, places: list[int], times: np.ndarray) -> Iterator[VideoFrame]:
        """Decode the packets at ``places``."""
        for place in places:
            yield from self._stream.codec_context.decode(self.packets[place])
        yield from self._stream.codec_context.decode(None)

"""What a packet tells of its picture without being decoded: whether decoding may begin with it.

Read are H.264 (ITU-T H.264, 7.3.1 and 7.4.1), HEVC (ITU-T H.265, 7.3.1.2 and 7.4.2.2), VP9
(bitstream specification 0.6, 6.2 and annex B), AV1 (bitstream specification, 5.3 to 5.9) and
Motion JPEG.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Inspect = Callable[[memoryview], "Picture"]


class Doubt(Exception):
    """A reason, in words, why the frames of a file cannot be found by its packets."""


@dataclass(frozen=True)
class Picture:
    """What one packet holds.

    Attributes:
        begins: neither its picture nor any later one needs what was before it.
        disposable: no other picture needs it.
    """

    begins: bool = False
    disposable: bool = False


BEGINS, DISPOSABLE, OTHER = Picture(begins=True), Picture(disposable=True), Picture()


def inspector(codec: str, extradata: bytes) -> Inspect:
    """Return what looks at the packets of a stream.

    Args:
        codec: FFmpeg's name of it.
        extradata: the stream's, which tells how packets are divided.

    Raises:
        Doubt: the codec is none of those above; what is returned raises it where a packet does not
            hold exactly one picture to be shown, or is damaged.
    """
    if codec == "h264":
        return _H264(_units(extradata, 4))
    if codec == "hevc":
        return _Hevc(_units(extradata, 21))
    simple = {"vp9": _vp9, "libvpx-vp9": _vp9, "av1": _av1, "libdav1d": _av1, "mjpeg": _mjpeg}
    if codec not in simple:
        raise Doubt(f"packets of {codec} do not tell which frames they make")
    return simple[codec]


Units = Callable[[memoryview], Sequence[tuple[int, int]]]
"""Gives the first and the last byte, exclusive, of every NAL unit of a packet."""


def _units(extradata: bytes, place: int) -> Units:
    """Return how to divide packets; ``place`` is that of the length's size in avcC or hvcC."""
    if len(extradata) <= place or extradata[0] != 1:
        return _after_start_codes
    size = (extradata[place] & 3) + 1

    def after_lengths(packet: memoryview) -> Sequence[tuple[int, int]]:
        begin, end = 0, len(packet)
        units = []
        while begin + size < end:
            if size == 4:
                (length,) = _LENGTH(packet, begin)
            else:
                length = int.from_bytes(packet[begin : begin + size], "big")
            begin += size
            if not 1 < length <= end - begin:
                raise Doubt("a packet is damaged")
            units.append((begin, begin + length))
            begin += length
        if begin != end:
            raise Doubt("a packet is damaged")
        return units

    return after_lengths


_LENGTH = struct.Struct(">I").unpack_from


def _after_start_codes(packet: memoryview) -> Sequence[tuple[int, int]]:
    data = bytes(packet)
    units = []
    begin = data.find(b"\0\0\1")
    while begin >= 0:
        following = data.find(b"\0\0\1", begin + 3)
        end = len(data) if following < 0 else following
        if begin + 5 <= end:
            units.append((begin + 3, end))
        begin = following
    return units


class _ParameterSets:
    """The parameter sets among the pictures.

    Decoding can begin only where all are sent again, and only if they stay the same.

    Args:
        kinds: the types of their units.
    """

    def __init__(self, *kinds: int) -> None:
        self.kinds = kinds
        self._known: set[bytes] = set()
        self._here: set[int] = set()
        self._pictures = False

    def add(self, kind: int, content: memoryview) -> None:
        """Take one."""
        self._here.add(kind)
        if (stored := bytes(content).rstrip(b"\0")) not in self._known:
            if self._pictures:
                raise Doubt("its parameter sets change on the way")
            self._known.add(stored)

    def allow(self, begins: bool) -> bool:
        """Return whether decoding can begin with a packet whose sets were added."""
        complete = begins and (not self._known or len(self._here) == len(self.kinds))
        if self._here:
            self._here.clear()
        self._pictures = True
        return complete


class _H264:
    def __init__(self, units: Units) -> None:
        self._units, self._sets = units, _ParameterSets(7, 8)

    def __call__(self, packet: memoryview) -> Picture:
        begins, reference = False, False
        for place, end in self._units(packet):
            header = packet[place]
            kind = header & 31
            if kind in (7, 8):
                self._sets.add(kind, packet[place:end])
            elif 1 <= kind <= 5:
                begins |= kind == 5
                reference |= header & 96 > 0  # nal_ref_idc
        if self._sets.allow(begins):
            return BEGINS
        return OTHER if reference else DISPOSABLE


class _Hevc:
    def __init__(self, units: Units) -> None:
        self._units, self._sets = units, _ParameterSets(32, 33, 34)

    def __call__(self, packet: memoryview) -> Picture:
        begins = False
        for place, end in self._units(packet):
            kind = packet[place] >> 1 & 63
            if (packet[place] & 1) << 5 | packet[place + 1] >> 3:
                continue  # another layer, which is not shown
            if kind in self._sets.kinds:
                self._sets.add(kind, packet[place:end])
            elif 16 <= kind <= 18 or kind in (36, 37):
                raise Doubt("it was cut or joined between key frames")
            elif 19 <= kind <= 21:
                begins |= kind != 21  # a CRA picture, which others before it in time refer past
                # no_output_of_prior_pics_flag, after first_slice_segment_in_pic_flag
                if end > place + 2 and packet[place + 2] & 64:
                    raise Doubt("a key frame withdraws pictures before it")
        return BEGINS if self._sets.allow(begins) else OTHER


def _vp9(packet: memoryview) -> Picture:
    shown, begins = 0, False
    for number, place in enumerate(_vp9_frames(packet)):
        byte = packet[place]
        if byte >> 6 != 2:
            raise Doubt("a packet is damaged")
        shift = 2 if byte >> 4 & 3 == 3 else 3  # profile 3 has a bit more in front
        existing, other, shows = (byte >> shift - bit & 1 for bit in range(3))
        shown += existing or shows
        begins |= number == 0 and not existing and not other
    if shown != 1:
        raise Doubt("a packet does not show exactly one picture")
    return BEGINS if begins else OTHER


def _vp9_frames(packet: memoryview) -> Iterator[int]:
    """Yield where the frames of a superframe begin; a frame of nothing is no frame."""
    last = packet[-1]
    count, size = (last & 7) + 1, (last >> 3 & 3) + 1
    index = 2 + count * size
    if last & 0xE0 != 0xC0 or len(packet) < index or packet[-index] != last:
        yield 0
        return
    place = 0
    for number in range(count):
        start = len(packet) - index + 1 + number * size
        length = int.from_bytes(packet[start : start + size], "little")
        if length:
            yield place
        place += length


def _av1(packet: memoryview) -> Picture:
    place, sequence = 0, False
    while place < len(packet):
        header = packet[place]
        kind, extended, sized = header >> 3 & 15, header >> 2 & 1, header >> 1 & 1
        if extended and packet[place + 1] >> 3 & 3:
            raise Doubt("it has spatial layers")
        place += 1 + extended
        length = len(packet) - place
        if sized:
            length, place = _leb128(packet, place)
        if place + length > len(packet):
            raise Doubt("a packet is damaged")
        sequence |= kind == 1
        if kind in (3, 6):
            # show_existing_frame 0, frame_type KEY_FRAME 0 (two bits), show_frame 1
            return BEGINS if sequence and packet[place] >> 4 == 1 else OTHER
        place += length
    raise Doubt("a packet holds no picture")


def _leb128(packet: memoryview, place: int) -> tuple[int, int]:
    """Return a number and where what follows it begins."""
    value = 0
    for byte in range(8):
        if place >= len(packet):
            break
        value |= (packet[place] & 127) << 7 * byte
        place += 1
        if not packet[place - 1] & 128:
            return value, place
    raise Doubt("a packet is damaged")


def _mjpeg(packet: memoryview) -> Picture:
    return BEGINS

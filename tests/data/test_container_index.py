"""Frames of long files by the container's own index: only where it can vouch for their numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data import container_index
from adafuse_deploy.data.container_index import ContainerIndex
from adafuse_deploy.data.packet_index import PacketIndex
from adafuse_deploy.data.video import VideoFile
from tests.video_files import COUNT, X264, X265, check, decode_all, earlier, encode, moving

pytestmark = pytest.mark.skipif(
    not hasattr(av.stream.Stream, "index_entries"), reason="needs a newer PyAV"
)
BFRAMES = {**X264, "bf": "3", "b_strategy": "0"}


@pytest.fixture(autouse=True)
def every_file_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_index, "FEWEST", 1)


def as_hvc1(path: Path) -> Path:
    """Copy an HEVC file to one whose sample entry keeps parameter sets out of samples."""
    target = path.with_name("hvc1.mp4")
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = source.streams.video[0]
        copy = container.add_stream_from_template(stream)
        copy.codec_context.codec_tag = "hvc1"
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                container.mux(packet)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("bframes", ["0", "3"])
def test_h264(tmp_path, caplog, suffix, bframes):
    path = encode(tmp_path / f"v.{suffix}", "libx264", {**BFRAMES, "bf": bframes})
    check(path, caplog)
    assert isinstance(VideoFile(path)._index, ContainerIndex)


def test_variable_rates(tmp_path, caplog):
    times = np.cumsum(np.random.default_rng(2).integers(1, 40, COUNT)).tolist()
    path = encode(tmp_path / "v.mp4", "libx264", BFRAMES, times=times)
    check(path, caplog)
    assert isinstance(VideoFile(path)._index, ContainerIndex)


def test_other_codecs(tmp_path, caplog):
    closed = {"x265-params": X265 + "no-open-gop=1"}
    hevc = as_hvc1(encode(tmp_path / "v.mp4", "libx265", closed))
    vp9 = {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "9", "deadline": "realtime"}
    vp9_file = encode(tmp_path / "vp9.mp4", "libvpx-vp9", vp9)
    intra = encode(tmp_path / "v.mov", "mjpeg", {"strict": "unofficial"}, pixels="yuvj420p")
    for path in (hevc, vp9_file, intra):
        check(path, caplog)
        assert isinstance(VideoFile(path)._index, ContainerIndex)


def test_only_groups_that_are_looked_at_are_read(tmp_path, monkeypatch):
    path = encode(tmp_path / "v.mp4", "libx264", BFRAMES)
    read = ContainerIndex._read
    groups: list[int] = []

    def spy(index, container, stream, group):
        groups.append(group)
        return read(index, container, stream, group)

    monkeypatch.setattr(ContainerIndex, "_read", spy)
    monkeypatch.setattr(PacketIndex, "of", None)
    video = VideoFile(path)
    assert groups == [0, 4]  # for the beginning and the end: 40 frames in groups of 8
    assert video.num_frames == COUNT and video.seconds == COUNT / 25
    every = decode_all(path)
    np.testing.assert_array_equal(video.frames([17, 30]), [every[17], every[30]])
    assert groups == [0, 4, 2, 3]


def opened(path: Path, caplog: pytest.LogCaptureFixture) -> object:
    check(path, caplog)
    return VideoFile(path)._index


def test_what_the_container_cannot_vouch_for_is_read_in_full(tmp_path, caplog, monkeypatch):
    """And gives the same frames."""
    open_groups = {"x265-params": X265 + "open-gop=1"}
    hevc = encode(tmp_path / "open.mp4", "libx265", open_groups)
    files = {
        "sets among the samples": hevc,
        "open groups": as_hvc1(hevc),
        "no list": encode(tmp_path / "v.mkv", "libx264", X264),
        "pieces": encode(tmp_path / "p.mp4", "libx264", X264, movflags="frag_keyframe+empty_moov"),
    }
    for path in files.values():
        assert isinstance(opened(path, caplog), PacketIndex), path
    path = encode(tmp_path / "v.mp4", "libx264", BFRAMES)
    assert isinstance(opened(path, caplog), ContainerIndex)
    for name, value in (("LARGEST_GROUP", 7), ("FEWEST", COUNT + 1)):
        with monkeypatch.context() as patch:
            patch.setattr(container_index, name, value)
            assert isinstance(opened(path, caplog), PacketIndex)


def test_an_edit_list_is_not_second_guessed(tmp_path, caplog):
    path = encode(tmp_path / "cut.mp4", "libx264", X264, edit=earlier, avoid_negative_ts="disabled")
    check(path, caplog, "its edit list leaves pictures out")


def test_parameter_sets_that_come_with_the_pictures(tmp_path, caplog):
    """Those of every group are compared with the first one's."""
    path = encode(tmp_path / "v.mp4", "libx264", {**X264, "x264-params": "repeat-headers=1"})
    check(path, caplog)


def test_interlaced_and_truncated_files(tmp_path, caplog):
    interlaced = {**X264, "x264-params": "interlaced=1"}
    check(encode(tmp_path / "i.mp4", "libx264", interlaced), caplog, "it is interlaced")
    whole = encode(tmp_path / "w.mp4", "libx264", X264, movflags="faststart").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.warns(UserWarning, match="ends long before"):
        video = VideoFile(path)
    assert isinstance(video._index, PacketIndex)


def test_a_file_that_changes_meanwhile(tmp_path):
    path = encode(tmp_path / "video.mp4", "libx264", X264)
    video = VideoFile(path)
    video.frames([3])
    other = encode(tmp_path / "o.mp4", "libx264", {**X264, "bf": "0"}, frames=moving()[::-1])
    shutil.copyfile(other, path)
    np.testing.assert_array_equal(video.frames([7])[0], decode_all(path)[7])


def test_damage_counts_where_it_is_looked_at(tmp_path):
    """A group that is damaged is not decoded by its index; others have the numbers stored."""
    path = encode(tmp_path / "v.mp4", "libx264", BFRAMES)
    every = decode_all(path)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][19]
        begin, end = packet.pos, packet.pos + packet.size
    content = path.read_bytes()
    path.write_bytes(content[:begin] + bytes(end - begin) + content[end:])
    video = VideoFile(path)
    np.testing.assert_array_equal(video.frames([9, 33]), [every[9], every[33]])
    assert isinstance(video._index, ContainerIndex)
    for refused in (lambda: video.frames([18]), lambda: VideoFile(path, strict=True).frames([9])):
        with pytest.raises(InputError, match="cannot be decoded"):
            refused()

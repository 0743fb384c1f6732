"""Decoding only what is looked at gives, frame by frame, what decoding everything gives."""

from __future__ import annotations

import warnings

import av
import numpy as np
import pytest

from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.data.video import VideoFile
from tests.video_files import COUNT, X264, X265, check, decode_all, earlier, encode, moving


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
@pytest.mark.parametrize("reordering", ["bf=0", "bf=3:b-pyramid=normal", "bf=2:ref=4:threads=1"])
def test_h264(tmp_path, caplog, suffix, reordering):
    options = dict(entry.split("=") for entry in reordering.split(":") if entry[:2] == "bf")
    others = ":".join(entry for entry in reordering.split(":") if entry[:2] != "bf")
    path = tmp_path / f"video.{suffix}"
    check(encode(path, "libx264", {**X264, **options, "x264-params": others}), caplog)


def test_only_what_is_looked_at_is_decoded(tmp_path, monkeypatch):
    path = encode(tmp_path / "video.mp4", "libx264", {**X264, "bf": "0"})
    video = VideoFile(path)
    assert list(video._index.runs([17, 19, 33])) == [[16, 17, 18, 19], [32, 33]]
    monkeypatch.setattr("adafuse_deploy.data.video.upright", lambda frame: frame.pts)
    assert len(set(video.frames([17, 19, 33]))) == 3


def test_pictures_that_no_other_needs_are_left_out(tmp_path):
    path = encode(tmp_path / "video.mp4", "libx264", {**X264, "bf": "3", "b_strategy": "0"})
    video = VideoFile(path)
    (run,) = video._index.runs([7])
    assert len(run) < 8
    np.testing.assert_array_equal(video.frames([7])[0], decode_all(path)[7])


@pytest.mark.parametrize("groups", ["no-open-gop=1", "open-gop=1"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_hevc(tmp_path, caplog, groups, suffix):
    check(encode(tmp_path / f"v.{suffix}", "libx265", {"x265-params": X265 + groups}), caplog)


def test_h264_of_open_groups_is_decoded_from_its_only_idr_picture(tmp_path, caplog):
    options = {**X264, "bf": "3", "x264-params": "open-gop=1"}
    path = encode(tmp_path / "video.mkv", "libx264", options)
    assert VideoFile(path)._index._starts.tolist() == [0]
    check(path, caplog)


def test_vp9_with_hidden_frames(tmp_path, caplog):
    options = {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "9", "deadline": "realtime"}
    check(encode(tmp_path / "video.webm", "libvpx-vp9", options), caplog)


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="needs SVT-AV1 in PyAV")
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_av1(tmp_path, caplog, suffix):
    options = {"g": "8", "preset": "12", "svtav1-params": "lp=1:film-grain=8:scd=0"}
    check(encode(tmp_path / f"video.{suffix}", "libsvtav1", options), caplog)


@pytest.mark.parametrize("suffix", ["avi", "mov", "mkv"])
def test_motion_jpeg(tmp_path, caplog, suffix):
    path = tmp_path / f"video.{suffix}"
    check(encode(path, "mjpeg", {"strict": "unofficial"}, pixels="yuvj420p"), caplog)


def test_other_codecs_are_decoded_from_the_beginning(tmp_path, caplog):
    doubt = "packets of mpeg4 do not tell"
    check(encode(tmp_path / "video.mp4", "mpeg4", {"g": "8", "bf": "2"}), caplog, doubt)
    check(encode(tmp_path / "video.gif", "gif", pixels="rgb8"), caplog, "packets of gif")


def test_variable_rates(tmp_path, caplog):
    times = np.cumsum(np.random.default_rng(2).integers(1, 40, COUNT)).tolist()
    for suffix in ("mp4", "mkv"):
        options = {**X264, "bf": "2"}
        check(encode(tmp_path / f"v.{suffix}", "libx264", options, times=times), caplog)


def test_streams_without_a_count_or_a_time(tmp_path, caplog):
    live = tmp_path / "live.mkv"
    check(encode(live, "libx264", X264, live="1"), caplog)
    pieces = tmp_path / "pieces.mp4"
    check(encode(pieces, "libx264", X264, movflags="frag_keyframe+empty_moov"), caplog)
    raw = tmp_path / "raw.h264"
    check(encode(raw, "libx264", {**X264, "bf": "2"}), caplog, "it does not say when frames are")


def test_an_edit_list_is_not_second_guessed(tmp_path, caplog):
    path = encode(tmp_path / "cut.mp4", "libx264", X264, edit=earlier, avoid_negative_ts="disabled")
    assert len(decode_all(path)) < COUNT
    check(path, caplog, "its edit list leaves pictures out")


def test_files_that_begin_in_the_middle_of_a_group(tmp_path, caplog):
    for name, codec, options in (
        ("a.mkv", "libx264", {**X264, "bf": "2"}),
        ("b.mkv", "libx265", {"x265-params": X265 + "no-open-gop=1"}),
    ):
        path = encode(tmp_path / name, codec, options, edit=lambda packets: packets[5:])
        check(path, caplog, "it does not begin with a key frame")
    path = encode(tmp_path / "c.ts", "libx264", X264, edit=lambda packets: packets[5:])
    check(path, caplog, "its parameter sets change on the way")


def test_interlaced_files(tmp_path, caplog):
    options = {**X264, "x264-params": "interlaced=1"}
    check(encode(tmp_path / "video.mp4", "libx264", options), caplog, "it is interlaced")


def test_files_joined_of_two_sizes(tmp_path, caplog):
    small = encode(tmp_path / "small.ts", "libx264", X264).read_bytes()
    large = encode(tmp_path / "large.ts", "libx264", X264, frames=moving(COUNT, 96, 96))
    (tmp_path / "both.ts").write_bytes(small + large.read_bytes())
    every = decode_all(tmp_path / "both.ts")
    assert len({frame.shape for frame in every}) == 2
    frames = VideoFile(tmp_path / "both.ts").frames(range(len(every)))
    for frame, expected in zip(frames, every, strict=True):
        np.testing.assert_array_equal(frame, expected)


def test_time_stamps_that_go_back(tmp_path):
    """A transport stream may be joined of two that both begin at 0."""
    part = encode(tmp_path / "part.ts", "libx264", X264).read_bytes()
    (tmp_path / "twice.ts").write_bytes(part + part)
    every = decode_all(tmp_path / "twice.ts")
    assert len(every) > COUNT
    video = VideoFile(tmp_path / "twice.ts")
    for number, frame in enumerate(video.frames(range(video.num_frames))):
        np.testing.assert_array_equal(frame, every[number])
    assert video.num_frames == len(every)


@pytest.mark.parametrize("share", [0.3, 0.55, 0.97])
@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
def test_truncated_files(tmp_path, caplog, suffix, share):
    whole = encode(tmp_path / f"a.{suffix}", "libx264", {**X264, "bf": "2"}, movflags="faststart")
    path = tmp_path / f"cut.{suffix}"
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        try:
            every = decode_all(path)
        except av.FFmpegError:
            with pytest.raises(InputError, match="cannot be decoded"):
                VideoFile(path).frames([0])
            return
        video = VideoFile(path)
        frames = video.frames([0, len(every) - 1])
    assert video.num_frames == len(every)
    np.testing.assert_array_equal(frames, [every[0], every[-1]])


def test_damage_counts_where_it_is_looked_at(tmp_path):
    path = encode(tmp_path / "v.mov", "mjpeg", {"strict": "unofficial"}, pixels="yuvj420p")
    every = decode_all(path)
    with av.open(str(path)) as container:
        packet = next(packet for packet in container.demux(video=0) if packet.pts == 10 * 512)
        begin, end = packet.pos, packet.pos + packet.size
    content = path.read_bytes()
    path.write_bytes(content[:begin] + bytes(end - begin) + content[end:])
    with pytest.raises(av.FFmpegError):
        decode_all(path)
    np.testing.assert_array_equal(VideoFile(path).frames([3, 22]), [every[3], every[22]])
    for refused in (
        lambda: VideoFile(path).frames([3, 10]),
        lambda: VideoFile(path, strict=True).frames([3]),
        VideoFile(path).check,
    ):
        with pytest.raises(InputError, match="cannot be decoded"):
            refused()


def test_a_file_that_changes_meanwhile(tmp_path, caplog):
    path = encode(tmp_path / "video.mp4", "libx264", X264)
    video = VideoFile(path)
    video.frames([3])
    encode(path, "libx264", {**X264, "bf": "0"}, frames=moving()[::-1])
    np.testing.assert_array_equal(video.frames([7])[0], decode_all(path)[7])

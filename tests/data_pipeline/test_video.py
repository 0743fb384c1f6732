from __future__ import annotations

import re
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from adafuse_deploy.config import Preprocessing
from adafuse_deploy.data.clips import open_clip
from adafuse_deploy.data.video import VideoFile, write_video
from adafuse_deploy.errors import InputError


def counting_frames(count: int = 20, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames that tell their own number by brightness; a bright bar marks the top."""
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[:] = (np.arange(count) * 10)[:, None, None, None]
    frames[:, : height // 4] = 250
    return frames


def number(frame: np.ndarray) -> int:
    return round(frame[frame.shape[0] // 2 :].mean() / 10)


def encode(path: Path, frames: np.ndarray, codec: str, start: int = 0, **options: str) -> None:
    """Encode at 8 frames per second; frames before time 0 are cut off by the container."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=8, options=options)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.bit_rate = 2_000_000
        packets = [
            packet
            for frame in [*(av.VideoFrame.from_ndarray(f, format="rgb24") for f in frames), None]
            for packet in stream.encode(frame)
        ]
        for packet in packets:
            packet.pts += start
            packet.dts += start
            container.mux(packet)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.mkv", "mpeg4"), ("a.ts", "mpeg2video")],
)
def test_frames_come_by_number_in_any_order(tmp_path, name, codec):
    encode(tmp_path / name, counting_frames(), codec)
    video = VideoFile(tmp_path / name)
    assert video.num_frames == 20
    frames = video.frames([19, 0, 7, 7])
    assert frames.dtype == np.uint8 and frames.shape == (4, 48, 64, 3)
    assert [number(frame) for frame in frames] == [19, 0, 7, 7]


def test_reordered_frames_come_in_display_order(tmp_path):
    encode(tmp_path / "b.mp4", counting_frames(), "mpeg4", bf="2", g="12")
    frames = VideoFile(tmp_path / "b.mp4").frames(range(20))
    assert [number(frame) for frame in frames] == list(range(20))


def test_frames_cut_off_by_an_edit_list_do_not_count(tmp_path):
    encode(tmp_path / "c.mp4", counting_frames(), "mpeg4", start=-5, sc_threshold="1000000000")
    video = VideoFile(tmp_path / "c.mp4")
    assert video.num_frames == 15
    assert [number(frame) for frame in video.frames(range(15))] == list(range(5, 20))


def test_write_video_keeps_the_picture(tmp_path):
    ramp = np.linspace(20, 230, 64).astype(np.uint8)
    frames = np.broadcast_to(ramp[:, None], (5, 48, 64, 3))
    write_video(tmp_path / "ramp.mp4", frames)
    decoded = VideoFile(tmp_path / "ramp.mp4").frames(range(5))
    assert np.abs(decoded.astype(int) - frames).max() <= 12
    assert [path.name for path in tmp_path.iterdir()] == ["ramp.mp4"]


def test_write_video_refuses_odd_sides(tmp_path):
    with pytest.raises(InputError, match="even"):
        write_video(tmp_path / "odd.mp4", np.zeros((2, 33, 64, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2), ((1, 0, 0, 1), 0)],
)
def test_the_rotation_of_phones_is_applied(tmp_path, matrix, turns):
    """ISO 14496-12, 6.2.2: the track header's matrix (a b c d) maps (x, y) to (ax+cy, bx+dy)."""
    plain, rotated = tmp_path / "plain.mp4", tmp_path / "rotated.mp4"
    write_video(plain, counting_frames(4))
    content = bytearray(plain.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    rotated.write_bytes(content)
    upright = VideoFile(rotated).frames([0, 3])
    np.testing.assert_array_equal(
        upright, np.rot90(VideoFile(plain).frames([0, 3]), turns, axes=(1, 2))
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no video file .*none\.mp4"):
        VideoFile(tmp_path / "none.mp4")


def test_text_is_not_a_video(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    with pytest.raises(InputError, match=r"text\.mp4 cannot be decoded"):
        VideoFile(tmp_path / "text.mp4")


def test_an_empty_file_is_not_a_video(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match=r"empty\.mp4 cannot be decoded"):
        VideoFile(tmp_path / "empty.mp4")


def test_sound_alone_is_not_a_video(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(tmp_path / "sound.wav")


def frame_chunks(avi: bytes) -> list[int]:
    """Where the stored frames begin; the first mark belongs to the file's index."""
    return [match.start() for match in re.finditer(b"00dc", avi)][1:]


def test_a_truncated_video_is_counted_not_believed(tmp_path):
    encode(tmp_path / "whole.avi", counting_frames(), "mpeg4", g="1")
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: frame_chunks(content)[10]])
    video = VideoFile(tmp_path / "cut.avi")
    assert video.num_frames == 10
    assert [number(frame) for frame in video.frames(range(10))] == list(range(10))


def test_a_frame_beyond_repair_is_an_error(tmp_path):
    encode(tmp_path / "whole.avi", counting_frames(), "mjpeg", strict="unofficial")
    content = bytearray((tmp_path / "whole.avi").read_bytes())
    start, end = frame_chunks(content)[10:12]
    content[start + 8 : end] = bytes(end - start - 8)
    (tmp_path / "bad.avi").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.avi cannot be decoded"):
        VideoFile(tmp_path / "bad.avi").frames(range(20))


def test_a_file_that_shrinks_later_is_an_error(tmp_path):
    encode(tmp_path / "video.ts", counting_frames(), "mpeg2video")
    video = VideoFile(tmp_path / "video.ts")
    encode(tmp_path / "video.ts", counting_frames(5), "mpeg2video")
    with pytest.raises(InputError, match="ends before frame 5"):
        video.frames(range(20))


def test_open_clip_takes_the_segments_centres(tmp_path):
    write_video(tmp_path / "video.mp4", counting_frames(16))
    raw = Preprocessing(resize=48, crop=48, mean=(0, 0, 0), std=(1, 1, 1), scale=1)
    clip = open_clip(tmp_path / "video.mp4", 4, raw)
    assert clip.dtype == np.float32 and clip.shape == (4, 3, 48, 48)
    assert [round(frame[:, 24:].mean() / 10) for frame in clip] == [2, 6, 10, 14]


def test_open_clip_refuses_short_videos_unless_told(tmp_path):
    write_video(tmp_path / "short.mp4", counting_frames(3))
    with pytest.raises(InputError, match="has 3 frames but the network looks at 8"):
        open_clip(tmp_path / "short.mp4", 8, Preprocessing())
    clip = open_clip(tmp_path / "short.mp4", 8, Preprocessing(), repeat_last=True)
    assert clip.shape == (8, 3, 224, 224)
    assert (clip[2:] == clip[2]).all()

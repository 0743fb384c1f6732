from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.assets import SAMPLE_VIDEO
from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.data.clips import open_clip, open_source
from adafuse_deploy.data.media import video_stream
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.video import VideoFile, write_video
from tests.support import damage


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
    assert {(frame.dtype, frame.shape) for frame in frames} == {(np.dtype(np.uint8), (48, 64, 3))}
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
    assert np.abs(np.stack(decoded).astype(int) - frames).max() <= 12
    assert [path.name for path in tmp_path.iterdir()] == ["ramp.mp4"]


def test_write_video_refuses_odd_sides(tmp_path):
    with pytest.raises(InputError, match="even"):
        write_video(tmp_path / "odd.mp4", np.zeros((2, 33, 64, 3), np.uint8))
    assert not list(tmp_path.iterdir())


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
    with pytest.warns(InputWarning, match="ends long before the end that it announces"):
        video = VideoFile(tmp_path / "cut.avi")
    assert video.num_frames == 10
    assert [number(frame) for frame in video.frames(range(10))] == list(range(10))
    with pytest.raises(InputError, match=r"cut\.avi is damaged: it ends long before"):
        VideoFile(tmp_path / "cut.avi", strict=True)


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


def cut_at_an_open_gop(path: Path) -> None:
    """HEVC of 30 frames without its first 15: the cut begins with an I frame that is no key frame.

    The pictures after it that are shown before it refer to what was cut off, and no decoder shows
    them.
    """
    with av.open(str(path), "w") as container:
        parameters = "open-gop=1:keyint=15:scenecut=0:bframes=4:b-adapt=0:log-level=none:pools=1"
        options = {"x265-params": parameters}
        stream = container.add_stream("libx265", rate=8, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        pictures = [av.VideoFrame.from_ndarray(f, format="rgb24") for f in counting_frames(25)]
        packets = [packet for picture in [*pictures, None] for packet in stream.encode(picture)]
        starts = [index for index, packet in enumerate(packets) if packet.is_keyframe]
        for packet in packets[starts[1] :]:
            container.mux(packet)


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="needs libx265 in PyAV")
def test_leading_pictures_of_a_cut_file_do_not_count(tmp_path):
    cut_at_an_open_gop(tmp_path / "cut.ts")
    with av.open(str(tmp_path / "cut.ts")) as container:
        stored = sum(packet.size > 0 for packet in container.demux(video=0))
    with av.open(str(tmp_path / "cut.ts")) as container:
        shown = [number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert len(shown) < stored and shown == list(range(15, 25))

    for choose in (lambda count: center_indices(count, 4), lambda count: [count - 1, 0]):
        video = VideoFile(tmp_path / "cut.ts")
        expected = [shown[index] for index in choose(len(shown))]
        assert [number(frame) for frame in video.sample(choose)] == expected
        assert video.num_frames == len(shown)
    assert VideoFile(tmp_path / "cut.ts").num_frames == len(shown)
    raw = Preprocessing(resize=48, crop=48, mean=(0, 0, 0), std=(1, 1, 1), scale=1)
    clip = open_clip(tmp_path / "cut.ts", 5, raw)
    assert [round(frame[:, 24:].mean() / 10) for frame in clip] == [16, 18, 20, 22, 24]
    with pytest.raises(InputError, match="has 10 frames but the network looks at 12"):
        open_clip(tmp_path / "cut.ts", 12, raw)


def test_damaged_frames_are_counted_and_refused_if_asked(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (20, 48, 64, 3), np.uint8)
    encode(tmp_path / "video.mp4", noise, "mpeg4", g="1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        video = VideoFile(tmp_path / "video.mp4", strict=True)
        assert len(video.frames(range(20))) == 20 and video.damaged == 0

    damage(tmp_path / "video.mp4", range(5, 8))
    video = VideoFile(tmp_path / "video.mp4")
    with pytest.warns(
        InputWarning, match="the decoder marks 3 of its 20 frames as damaged"
    ) as told:
        for _ in range(2):
            assert len(video.frames([0, 19])) == 2
    assert len(told) == 1 and video.damaged == 3
    with pytest.raises(InputError, match=r"video\.mp4 is damaged: .* 3 of its 20 frames"):
        VideoFile(tmp_path / "video.mp4", strict=True).frames([0])
    with pytest.raises(InputError, match="3 of its 20 frames"):
        open_clip(tmp_path / "video.mp4", 4, Preprocessing(), strict=True)


def test_frames_of_several_sizes_are_each_resized(tmp_path):
    """A transport stream may change its size on the way."""
    encode(tmp_path / "small.ts", counting_frames(4), "mpeg2video")
    encode(tmp_path / "large.ts", counting_frames(4, 96, 96), "mpeg2video")
    both = (tmp_path / "small.ts").read_bytes() + (tmp_path / "large.ts").read_bytes()
    (tmp_path / "both.ts").write_bytes(both)
    video = VideoFile(tmp_path / "both.ts")
    frames = video.frames(range(video.num_frames))
    assert {frame.shape[:2] for frame in frames} == {(48, 64), (96, 96)}
    assert open_clip(tmp_path / "both.ts", 6, Preprocessing(resize=40, crop=32)).shape[2:] == (
        32,
        32,
    )


@pytest.mark.parametrize("name", ["12:30:05.mp4", "http:x.mp4", "a b?#%d.mp4", "-x.mp4", "ä.mp4"])
def test_any_file_name_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(name, counting_frames(4))
    assert [number(frame) for frame in VideoFile(name).frames([3, 0])] == [3, 0]


def test_what_is_no_video_is_called_what_it_is(tmp_path):
    for name in ("picture.jpg", "picture.png"):
        Image.fromarray(counting_frames(1)[0]).save(tmp_path / name)
        for source in (tmp_path / name, f"file://{tmp_path / name}"):
            with pytest.raises(InputError, match=rf"{name} is a picture, not a video"):
                open_source(source)
    text = SimpleNamespace(format=SimpleNamespace(name="tty"))  # not in every build of FFmpeg
    with pytest.raises(InputError, match=r"list\.txt is a text, not a video"):
        video_stream(text, "list.txt")
    with pytest.raises(InputError, match=r"http://host/a\.mp4 is a network address, .*download"):
        open_source("http://host/a.mp4")


def test_sound_with_a_cover_is_no_video(tmp_path):
    cover = io.BytesIO()
    Image.fromarray(counting_frames(1)[0]).save(cover, "JPEG")
    with av.open(str(tmp_path / "song.mp3"), "w") as container:
        sound_stream = container.add_stream("libmp3lame", rate=44100)
        picture = container.add_stream("mjpeg")
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic.value
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        container.mux(packet)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), "fltp", "stereo")
        sound.sample_rate = 44100
        container.mux(sound_stream.encode(sound))
        container.mux(sound_stream.encode())
    with av.open(str(tmp_path / "song.mp3")) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(InputError, match="no video stream, only other media and a cover picture"):
        VideoFile(tmp_path / "song.mp3")


def test_a_clip_has_a_frame() -> None:
    with pytest.raises(InputError, match="at least 1 frame, not 0"):
        open_clip(SAMPLE_VIDEO, 0, Preprocessing(64, 64))

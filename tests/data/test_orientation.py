"""Frames come the way up that players show them, wherever they are decoded."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.data.clips import open_clip
from adafuse_deploy.data.dataset import ClipDataset
from adafuse_deploy.data.feed import Sampling, open_feed
from adafuse_deploy.data.frames import FrameFolder
from adafuse_deploy.data.lists import read_list
from adafuse_deploy.data.orientation import orient
from adafuse_deploy.data.video import VideoFile, write_video

HEIGHT, WIDTH = 48, 64
COLORS = {"r": (220, 40, 40), "g": (40, 220, 40), "b": (40, 40, 220), "w": (220, 220, 220)}

# Of a picture with the corners "rg" above "bw": what the ffmpeg program shows (ffmpeg -i in.mp4
# out.png, its autorotation on) for a track header's matrix (a b c d), and the Exif orientation of
# the same name.
ORIENTATIONS = [
    ((1, 0, 0, 1), "rg bw", 1),
    ((-1, 0, 0, 1), "gr wb", 2),
    ((-1, 0, 0, -1), "wb gr", 3),
    ((1, 0, 0, -1), "bw rg", 4),
    ((0, 1, 1, 0), "rb gw", 5),
    ((0, 1, -1, 0), "br wg", 6),
    ((0, -1, -1, 0), "wg br", 7),
    ((0, -1, 1, 0), "gw rb", 8),
]


def picture() -> np.ndarray:
    """Uint8 (HEIGHT, WIDTH, 3) with a colour in every corner."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for name, rows, columns in (("r", 0, 0), ("g", 0, 1), ("b", 1, 0), ("w", 1, 1)):
        top, left = rows * HEIGHT // 2, columns * WIDTH // 2
        image[top : top + HEIGHT // 2, left : left + WIDTH // 2] = COLORS[name]
    return image


def corners(image: np.ndarray) -> str:
    """The colours of an image's corners, row by row."""

    def name(pixel: np.ndarray) -> str:
        return min(COLORS, key=lambda color: np.abs(pixel - np.array(COLORS[color])).sum())

    return " ".join(
        name(image[row, 3].astype(int)) + name(image[row, -4].astype(int)) for row in (3, -4)
    )


def write_turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """Write four frames and put a matrix into the track header."""
    write_video(path, np.stack([picture()] * 4))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("matrix", "expected", "exif"), ORIENTATIONS)
def test_files_lists_training_streams_and_images_are_upright(tmp_path, matrix, expected, exif):
    path = write_turned(tmp_path / "video.mp4", matrix)
    shape = (WIDTH, HEIGHT, 3) if matrix[0] == 0 else (HEIGHT, WIDTH, 3)
    for frame in VideoFile(path).frames([0, 3]):
        assert corners(frame) == expected and frame.shape == shape
    with open_feed(str(path), Sampling()) as feed:
        assert [corners(frame.image) for frame in feed] == [expected] * 4

    raw = Preprocessing(resize=32, crop=32, mean=(0, 0, 0), std=(1, 1, 1), scale=1)
    (tmp_path / "list.txt").write_text("video.mp4 0")
    listed, _ = ClipDataset(read_list(tmp_path / "list.txt"), 2, raw)[0]
    for clip in (open_clip(path, 2, raw), listed.numpy()):
        assert corners(clip[0].transpose(1, 2, 0)) == expected

    (tmp_path / "folder").mkdir()
    image = Image.fromarray(picture())
    image.getexif()[0x0112] = exif
    image.save(tmp_path / "folder" / "1.jpg", exif=image.getexif(), quality=95)
    (frame,) = FrameFolder(tmp_path / "folder").frames([0])
    assert corners(frame) == expected and frame.shape == shape


def test_a_matrix_between_the_orientations_takes_the_nearest():
    for degrees, expected in ((20, "rg bw"), (80, "br wg"), (200, "wb gr"), (290, "gw rb")):
        cos, sin = (round(f(np.radians(degrees)) * 65536) for f in (np.cos, np.sin))
        matrix = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1 << 30]], np.int32)
        assert corners(orient(picture(), matrix)) == expected

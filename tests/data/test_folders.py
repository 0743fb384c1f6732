"""Folders of frames: how their images are named, what is missing, what the pixels are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.data.clips import open_clip
from adafuse_deploy.data.frames import FrameFolder
from adafuse_deploy.data.transforms import Augmentation, augment

RAW = Preprocessing(resize=24, crop=16, mean=(0, 0, 0), std=(1, 1, 1), scale=1)


def write_images(folder: Path, template: str, numbers: range | list[int]) -> Path:
    """Images whose grey value is ten times their place."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, number in enumerate(numbers, start=1):
        Image.new("RGB", (32, 24), (10 * place,) * 3).save(folder / template.format(number))
    return folder


def places(folder: FrameFolder) -> list[int]:
    return [round(frame.mean() / 10) for frame in folder.frames(range(folder.num_frames))]


@pytest.mark.parametrize(
    ("template", "numbers"),
    [
        ("{:05d}.jpg", range(1, 7)),
        ("img_{:05d}.jpg", range(1, 7)),
        ("image_{:05d}.jpg", range(7)),
        ("{:d}.JPG", range(8, 13)),
        ("frame {:03d}.png", range(98, 102)),
        ("frame{:02d}.webp", range(98, 102)),
        ("v12_{:04d}_x.jpeg", range(1, 4)),
        ("{{7}}{:d}.bmp", range(1)),
        ("IMG_{:d}.PNG", range(9999, 10003)),
    ],
)
def test_the_pattern_of_the_names_is_found(tmp_path, template, numbers):
    path = write_images(tmp_path / "a", template, numbers)
    (path / "notes.txt").touch()
    (path / "._00001.jpg").touch()  # what macOS leaves beside a file
    if numbers[0] > 1:
        with pytest.warns(InputWarning, match="begin with"):
            folder = FrameFolder(path)
    else:
        folder = FrameFolder(path)
    assert places(folder) == list(range(1, len(numbers) + 1))
    assert folder.numbering.first == numbers[0]


def test_images_of_another_kind_are_no_frames(tmp_path):
    path = write_images(tmp_path / "a", "img_{:05d}.jpg", range(1, 5))
    write_images(path, "flow_x_{:05d}.jpg", range(1, 4))
    write_images(path, "cover_{:d}.jpg", [1])
    assert places(FrameFolder(path)) == [1, 2, 3, 4]
    assert places(FrameFolder(path, template="flow_x_{:05d}.jpg")) == [1, 2, 3]
    other = write_images(tmp_path / "b", "left{:d}.png", range(3))
    write_images(other, "right{:d}.png", range(3))
    with pytest.raises(
        InputError, match=r"2 patterns, left\{:d\}\.png and right\{:d\}\.png;.*--temp"
    ):
        FrameFolder(other)


@pytest.mark.parametrize("template", ["frame{:03d}.png", "frame%03d.png"])
def test_templates_choose(tmp_path, template):
    path = write_images(tmp_path / "a", "frame{:03d}.png", range(3))
    assert places(FrameFolder(path, template=template)) == [1, 2, 3]
    assert places(FrameFolder(tmp_path, template=f"a/{template}")) == [1, 2, 3]
    with pytest.raises(
        InputError, match=r"no image x_001\.png; its images are named frame\{:03d\}"
    ):
        FrameFolder(path, template="x_{:03d}.png")
    for bad in ("frame.png", "frame{:d.png", "frame{name}.png", "{:d}/frame.png"):
        with pytest.raises(InputError, match="does not number the images"):
            FrameFolder(path, template=bad)


def test_gaps_are_named(tmp_path):
    path = write_images(tmp_path / "a", "{:05d}.jpg", [1, 2, 4, 5, 9, 10])
    with pytest.raises(InputError, match=r"lacks 00003\.jpg and 00006\.jpg to 00008\.jpg: extract"):
        FrameFolder(path)
    assert FrameFolder(path, num_frames=2).num_frames == 2
    with pytest.raises(InputError, match=r"lacks 00003\.jpg:"):
        FrameFolder(path, num_frames=5)
    many = write_images(tmp_path / "b", "{:d}.jpg", range(0, 40, 2))
    with pytest.raises(InputError, match=r"lacks 1\.jpg, 3\.jpg, .*9\.jpg and images at 14 more"):
        FrameFolder(many)


@pytest.mark.parametrize("first", [0, 1])
def test_listed_frames_count_from_the_first_image(tmp_path, first):
    path = write_images(tmp_path / "a", "{:05d}.jpg", range(first, first + 6))
    assert places(FrameFolder(path, 4)) == [1, 2, 3, 4]
    assert places(FrameFolder(path, 6)) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(InputError, match=f"has no {first + 6:05d}.jpg, but 7 frames are listed"):
        FrameFolder(path, 7)


def test_folders_without_images(tmp_path):
    with pytest.raises(InputError, match=r"There is no folder .*none"):
        FrameFolder(tmp_path / "none")
    write_images(tmp_path / "b", "cover.jpg", [1])
    with pytest.raises(InputError, match="has no numbered images"):
        FrameFolder(tmp_path / "b")
    with pytest.raises(InputError, match="no numbered images in it"):
        FrameFolder(tmp_path / "b", template="{:d}.jpg")


def test_grey_of_sixteen_bits_is_scaled(tmp_path):
    values = np.array([[0, 257, 1000, 32768, 65535]], np.uint16)
    for suffix in ("png", "tif", "pgm"):
        folder = tmp_path / suffix
        folder.mkdir()
        if suffix == "pgm":
            (folder / "1.pgm").write_bytes(b"P5 5 1 65535\n" + values.astype(">u2").tobytes())
        else:
            Image.fromarray(values).save(folder / f"1.{suffix}")
        (frame,) = FrameFolder(folder).frames([0])
        np.testing.assert_array_equal(frame[0], np.repeat([[0, 1, 4, 128, 255]], 3, 0).T)
    (tmp_path / "float").mkdir()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float" / "1.tif")
    with pytest.raises(InputError, match=r"1\.tif has floating-point pixels"):
        FrameFolder(tmp_path / "float").frames([0])


def test_images_of_several_sizes_are_each_resized(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    sizes = [(32, 24), (48, 64), (24, 24), (100, 30)]
    for number, size in enumerate(sizes):
        Image.new("RGB", size, (10 * number + 10,) * 3).save(folder / f"{number}.png")
    clip = open_clip(folder, 4, RAW)
    assert [frame.tolist() for frame in clip] == [
        np.full((3, 16, 16), 10 * number + 10).tolist() for number in range(4)
    ]
    frames = FrameFolder(folder).frames(range(4))
    for seed in range(5):
        clip, _ = augment(frames, 0, RAW, Augmentation(), np.random.default_rng(seed))
        assert clip.shape == (4, 3, 16, 16)


def test_open_clip_reads_frame_folders(tmp_path):
    folder = write_images(tmp_path / "a", "{:05d}.jpg", range(1, 9))
    clip = open_clip(folder, 4, RAW)
    assert clip.shape == (4, 3, 16, 16)
    assert [round(frame.mean() / 10) for frame in clip] == [2, 4, 6, 8]


def test_damaged_and_missing_images_are_named(tmp_path):
    path = write_images(tmp_path / "a", "{:05d}.jpg", range(1, 5))
    folder = FrameFolder(path)
    whole = (path / "00002.jpg").read_bytes()
    (path / "00002.jpg").write_bytes(whole[:200])
    (path / "00003.jpg").write_text("no image")
    (path / "00004.jpg").unlink()
    for index, message in enumerate(("damaged", "damaged", "missing"), start=1):
        with pytest.raises(InputError, match=rf"0000{index + 1}\.jpg is {message}"):
            folder.frames([0, index])

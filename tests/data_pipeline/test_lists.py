from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.config import Preprocessing
from adafuse_deploy.data.clips import open_clip
from adafuse_deploy.data.frames import FrameFolder
from adafuse_deploy.data.lists import read_class_names, read_list
from adafuse_deploy.errors import InputError


def write_folder(folder: Path, count: int, template: str = "{:05d}.jpg") -> Path:
    """Images whose grey value is ten times their number."""
    folder.mkdir(parents=True)
    for index in range(1, count + 1):
        Image.new("RGB", (32, 24), (10 * index,) * 3).save(folder / template.format(index))
    return folder


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "list.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("template", ["{:05d}.jpg", "img_{:05d}.jpg", "image_{:05d}.jpg"])
def test_frame_folders_find_their_template(tmp_path, template):
    folder = FrameFolder(write_folder(tmp_path / "a", 6, template))
    assert folder.num_frames == 6
    frames = folder.frames([5, 0, 2])
    assert frames.shape == (3, 24, 32, 3) and frames.dtype == np.uint8
    assert [round(frame.mean() / 10) for frame in frames] == [6, 1, 3]


def test_frame_folders_take_another_template(tmp_path):
    folder = write_folder(tmp_path / "a", 3, "frame{:d}.png")
    assert FrameFolder(folder, template="frame{:d}.png").num_frames == 3
    with pytest.raises(InputError, match="no first image"):
        FrameFolder(folder)
    for bad in ("frame.png", "frame{:d.png", "frame{name}.png"):
        with pytest.raises(InputError, match="does not number the images"):
            FrameFolder(folder, template=bad)


def test_open_clip_reads_frame_folders(tmp_path):
    folder = write_folder(tmp_path / "a", 8)
    raw = Preprocessing(resize=24, crop=16, mean=(0, 0, 0), std=(1, 1, 1), scale=1)
    clip = open_clip(folder, 4, raw)
    assert clip.shape == (4, 3, 16, 16)
    assert [round(frame.mean() / 10) for frame in clip] == [2, 4, 6, 8]


def test_damaged_and_missing_images_are_named(tmp_path):
    path = write_folder(tmp_path / "a", 5)
    folder = FrameFolder(path)
    whole = (path / "00002.jpg").read_bytes()
    (path / "00002.jpg").write_bytes(whole[:200])
    (path / "00003.jpg").write_text("no image")
    (path / "00004.jpg").unlink()
    Image.new("RGB", (10, 10)).save(path / "00005.jpg")
    for index, message in enumerate(("damaged", "damaged", "missing"), start=1):
        with pytest.raises(InputError, match=rf"0000{index + 1}\.jpg is {message}"):
            folder.frames([0, index])
    with pytest.raises(InputError, match="differ in size"):
        folder.frames([0, 4])


def test_lists_of_folders_and_files(tmp_path):
    write_folder(tmp_path / "plain", 4)
    write_folder(tmp_path / "air drumming" / "v 1", 5, "img_{:05d}.jpg")
    (tmp_path / "a b 3.mp4").touch()
    path = write_list(
        tmp_path,
        "# comment",
        "",
        "plain 4 2",
        "air drumming/v 1 5 0",
        "air drumming/v 1;3;1",
        "a b 3.mp4 7",
        "a b 3.mp4 300 7",
        f"{tmp_path / 'plain'} 2 1",
    )
    records = read_list(path, num_classes=8)
    assert [(r.path.name, r.num_frames, r.label, r.template) for r in records] == [
        ("plain", 4, 2, "{:05d}.jpg"),
        ("v 1", 5, 0, "img_{:05d}.jpg"),
        ("v 1", 3, 1, "img_{:05d}.jpg"),
        ("a b 3.mp4", None, 7, None),
        ("a b 3.mp4", None, 7, None),
        ("plain", 2, 1, "{:05d}.jpg"),
    ]
    assert records[0].origin == f"{path} line 3"
    source = records[1].open()
    assert source.num_frames == 5 and source.frames([4]).shape == (1, 24, 32, 3)


def test_relative_paths_start_from_the_root(tmp_path):
    write_folder(tmp_path / "frames" / "1", 2)
    (tmp_path / "lists").mkdir()
    path = write_list(tmp_path / "lists", "1 2 0")
    assert read_list(path, root=tmp_path / "frames")[0].path == tmp_path / "frames" / "1"
    with pytest.raises(InputError, match="no folder"):
        read_list(path)


def test_a_byte_order_mark_and_windows_lines_are_harmless(tmp_path):
    write_folder(tmp_path / "a", 2)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa 2 0\r\na 1 1\r\n")
    assert [record.label for record in read_list(tmp_path / "list.txt")] == [0, 1]


def test_all_problems_are_reported_at_once(tmp_path):
    write_folder(tmp_path / "good", 3)
    (tmp_path / "empty").mkdir()
    path = write_list(
        tmp_path,
        "good 3 0",
        "good 4 0",
        "good 3 5",
        "gone 3 1",
        "empty 3 1",
        "video.mp4 1",
        "good 3 cat",
        "word",
        "good 0 1",
        "good 3 -1",
    )
    with pytest.raises(InputError) as caught:
        read_list(path, num_classes=5)
    message = str(caught.value)
    assert message.startswith(f"The list {path} has 9 unusable lines:")
    for expected in (
        "line 2: the folder",
        "no 00004.jpg, but 4 frames are listed",
        "line 3: label 5 is out of range; there are 5 classes, from 0 to 4",
        "line 4: There is no folder",
        "line 5: The folder",
        "line 6: there is no video file",
        "line 7: 'good 3 cat' is neither",
        "line 8: 'word' is neither",
        "line 9: the folder",
        "line 10: 'good 3 -1' is neither",
    ):
        assert expected in message
    assert "line 1:" not in message


def test_many_problems_are_counted(tmp_path):
    path = write_list(tmp_path, *(f"gone{index} 3 0" for index in range(50)))
    with pytest.raises(InputError) as caught:
        read_list(path)
    assert "has 50 unusable lines" in str(caught.value)
    assert "gone19" in str(caught.value) and "gone20" not in str(caught.value)
    assert str(caught.value).endswith("... and 30 more")


def test_lists_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_list(tmp_path / "none.txt")
    with pytest.raises(InputError, match="names no video"):
        read_list(write_list(tmp_path, "# nothing"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_list(tmp_path / "binary.txt")
    with pytest.raises(InputError, match="UTF-8"):
        read_list(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("air drumming\nyoga\n", ("air drumming", "yoga")),
        ("0,Holding something\n1,Turning, twice\n", ("Holding something", "Turning, twice")),
        ("1 ApplyEyeMakeup\n2 Archery\n", ("ApplyEyeMakeup", "Archery")),
        ("1,b\n0,a\n", ("a", "b")),
        ("100 metres\nyoga\n", ("100 metres", "yoga")),
    ],
)
def test_class_files_in_every_format(tmp_path, text, names):
    (tmp_path / "classInd.txt").write_text(text)
    assert read_class_names(tmp_path / "classInd.txt") == names


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("0,a\n2,b\n", "without gaps"), ("5 a\n6 b\n", "without gaps")],
)
def test_bad_class_files(tmp_path, text, message):
    (tmp_path / "classInd.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_class_names(tmp_path / "classInd.txt")

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from adafuse_deploy.data.lists import read_class_names, read_list
from adafuse_deploy.data.numbering import Numbering
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
    assert [(r.path.name, r.label, r.numbering) for r in records] == [
        ("plain", 2, Numbering("{:05d}.jpg", 1, 4)),
        ("v 1", 0, Numbering("img_{:05d}.jpg", 1, 5)),
        ("v 1", 1, Numbering("img_{:05d}.jpg", 1, 3)),
        ("a b 3.mp4", 7, None),
        ("a b 3.mp4", 7, None),
        ("plain", 1, Numbering("{:05d}.jpg", 1, 2)),
    ]
    assert records[0].origin == f"{path} line 3"
    source = records[1].open()
    assert source.num_frames == 5 and source.frames([4])[0].shape == (24, 32, 3)


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

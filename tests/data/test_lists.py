from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.data.labels import NO_LABEL
from adafuse_deploy.data.lists import ListReading, read_list
from adafuse_deploy.data.numbering import Numbering
from adafuse_deploy.data.video import write_video
from adafuse_deploy.training.splits import own_lists


def write_folder(folder: Path, count: int, template: str = "{:05d}.jpg", first: int = 1) -> Path:
    """Images whose grey value is ten times their place."""
    folder.mkdir(parents=True)
    for place in range(1, count + 1):
        image = Image.new("RGB", (32, 24), (10 * place,) * 3)
        image.save(folder / template.format(first + place - 1))
    return folder


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "list.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_lists_of_folders_and_files(tmp_path):
    write_folder(tmp_path / "plain", 4)
    write_folder(tmp_path / "air drumming" / "v 1", 5, "img_{:05d}.jpg")
    write_video(tmp_path / "a b 3.mp4", np.zeros((4, 32, 32, 3), np.uint8))
    path = write_list(
        tmp_path,
        "# comment",
        "",
        "plain 4 2",
        "air drumming/v 1 5 0",
        "air drumming/v 1;3;1",
        "a b 3.mp4 7",
        "a b 3.mp4 4 7",
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
    assert (
        read_list(path, ListReading(root=tmp_path / "frames"))[0].path == tmp_path / "frames" / "1"
    )
    with pytest.raises(InputError, match="line 1: there is no folder"):
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
        "line 4: there is no folder",
        "line 5: The folder",
        "line 6: there is no video file",
        "line 7: 'good 3 cat' is neither",
        "line 8: 'word' is neither",
        "line 9: the folder",
        "line 10: label -1 is out of range",
    ):
        assert expected in message
    assert "line 1:" not in message


def test_many_problems_are_counted(tmp_path):
    path = write_list(tmp_path, *(f"gone{index} 3 0" for index in range(250)))
    with pytest.raises(InputError) as caught:
        read_list(path)
    assert "has 250 unusable lines" in str(caught.value)
    assert "gone199" in str(caught.value) and "gone200" not in str(caught.value)
    assert "\n  ... and 50 more\n--skip-missing" in str(caught.value)


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


NAMES = ("Archery", "Closing [something]", "Turning, twice", "air drumming")


@pytest.fixture
def videos(tmp_path):
    """Videos whose names say what is hard about them; every one shows four frames."""
    images = np.zeros((4, 32, 32, 3), np.uint8)
    write_video(tmp_path / "a.mp4", images)
    content = (tmp_path / "a.mp4").read_bytes()
    for name in (
        *("#1 take.mp4", "a;b.mp4", "a, b.mp4", "Archery/v_1.mp4", "air drumming/v_2.mp4"),
        *("78687.webm", "yt_-x_000003_000013.mp4", "train/air_drumming/yt2_000000_000010.mp4"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    write_folder(tmp_path / "12", 4)
    write_folder(tmp_path / "zero", 5, first=0)
    return tmp_path


def listed(path: Path, **options) -> list[tuple[str, int]]:
    return [
        (str(record.path.relative_to(path.parent)), record.label)
        for record in read_list(path, **options)
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "list.txt",
            "# a comment\n#another\n#gone.mp4 3\n#1 take.mp4 2\na;b.mp4 1\na;b.mp4;3\n",
            [("#1 take.mp4", 2), ("a;b.mp4", 1), ("a;b.mp4", 3)],
        ),
        (
            "list.csv",
            'a.mp4,1\na, b.mp4,2\n"a, b.mp4",0\na;b.mp4,3\n12,4,0\n',
            [("a.mp4", 1), ("a, b.mp4", 2), ("a, b.mp4", 0), ("a;b.mp4", 3), ("12", 0)],
        ),
        (
            "list.csv",
            "path,label\na.mp4,1\n12,2\n",
            [("a.mp4", 1), ("12", 2)],
        ),
        (
            "list.csv",
            "video;class_name;class_id\na.mp4;Archery;0\n12;air drumming;3\n",
            [("a.mp4", 0), ("12", 3)],
        ),
        ("list.txt", "#1 take.mp4;Archery\n#2 take.mp4;Archery\n", [("#1 take.mp4", 0)]),
        # 20BN: Something-Something V1 and Jester, then V2.
        (
            "train.csv",
            "12;Turning, twice\n78687;closing something\n",
            [("12", 2), ("78687.webm", 1)],
        ),
        (
            "train.json",
            '[{"id": "78687", "label": "closing a green box", "template": "Closing [something]", '
            '"placeholders": ["a green box"]}, {"id": 12, "label": "archery"}]',
            [("78687.webm", 1), ("12", 0)],
        ),
        # Kinetics, as its downloaders lay it out: all in one folder, or one per split and class.
        (
            "train.csv",
            "label,youtube_id,time_start,time_end,split\nArchery,yt_-x,3,13,train\n"
            '"air drumming",yt2,0,10,train\n',
            [
                ("yt_-x_000003_000013.mp4", 0),
                ("train/air_drumming/yt2_000000_000010.mp4", 3),
            ],
        ),
        ("list.txt", "Archery/v_1.mp4 Archery\n", [("Archery/v_1.mp4", 0)]),
        # UCF101's test lists: the folder is the class.
        (
            "testlist01.txt",
            "Archery/v_1.mp4\nair drumming/v_2.mp4\n",
            [("Archery/v_1.mp4", 0), ("air drumming/v_2.mp4", 3)],
        ),
        ("list.tsv", "a.mp4\tArchery\n12\t4\t2\n", [("a.mp4", 0), ("12", 2)]),
    ],
)
def test_lists_as_they_are_published(videos, name, text, expected):
    (videos / name).write_text(text)
    assert listed(videos / name, class_names=NAMES) == expected


def test_named_classes_need_names(videos):
    (videos / "train.csv").write_text("12;Archery\n78687;Sailing\n")
    with pytest.raises(InputError, match=r"line 1: the class is named, 'Archery', .*--classes"):
        read_list(videos / "train.csv")
    with pytest.raises(InputError, match="line 2: 'Sailing' is none of the 4 classes"):
        read_list(videos / "train.csv", class_names=NAMES)


@pytest.mark.parametrize(
    "line",
    [
        "a.mp4 1,3",
        "a.mp4 1 3 2",
        '"a.mp4","1,3"',
        "12 4 1 3",
        "12 4 1,3",
        "a;b.mp4 0|2",
        "a.mp4 0 1",
    ],
)
def test_several_labels_are_refused_by_name(videos, line):
    name = line.strip('"')[: line.strip('"').index("4" if "mp4" in line else "2") + 1]
    with pytest.raises(InputError, match=rf"line 1: .*{name} has (several labels|4 frames)"):
        read_list(write_list(videos, line, "a.mp4 2"))
    (videos / "list.json").write_text('[{"path": "a.mp4", "label": [1, 2]}]')
    with pytest.raises(InputError, match=r"entry 1: a\.mp4 has several labels"):
        read_list(videos / "list.json")


def test_a_folder_with_its_count_alone_has_no_label(videos):
    path = write_list(videos, "12 4", "12 3")
    with pytest.raises(
        InputError, match=r"1 unusable line:\n  line 1: 12 has 4 frames, so 4 is no"
    ):
        read_list(path)
    assert [record.open().num_frames for record in read_list(path, labels="unused")] == [4, 4]


def test_lists_without_labels(videos):
    path = write_list(videos, "a.mp4", "#1 take.mp4", "12 4", "12", "a, b.mp4")
    for labels in ("optional", "unused"):
        assert [label for _, label in listed(path, labels=labels)] == [NO_LABEL] * 5
    with pytest.raises(InputError, match=r"'a\.mp4' is neither 'path num_frames label' nor"):
        read_list(path)
    with pytest.raises(InputError, match=r"line 2: .*a, b\.mp4 has no label, but others have"):
        read_list(write_list(videos, "a.mp4 1", "a, b.mp4"), labels="optional")
    (videos / "test.csv").write_text("id\n78687\n12\n")
    assert [name for name, _ in listed(videos / "test.csv", labels="unused")] == [
        "78687.webm",
        "12",
    ]
    (videos / "any.csv").write_text("12;whatever it is\na.mp4,5000\n")
    assert [name for name, _ in listed(videos / "any.csv", labels="unused")] == ["12", "a.mp4"]


def test_labels_that_count_from_one(videos):
    from_one = write_list(videos, "a.mp4 1", "a.mp4 4", "12 4 2")
    with pytest.warns(InputWarning, match="count from 1: 1 is the first class.*--first-label"):
        assert [label for _, label in listed(from_one, num_classes=4)] == [0, 3, 1]
    with pytest.warns(InputWarning, match="count from 1"):
        assert [label for _, label in listed(from_one)] == [0, 3, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = listed(from_one, num_classes=4, reading=ListReading(first_label=1))
        assert [label for _, label in told] == [0, 3, 1]
        assert [label for _, label in listed(from_one, reading=ListReading(first_label=0))] == [
            1,
            4,
            2,
        ]
        with pytest.raises(
            InputError, match="label 4 is out of range; there are 4 classes, from 0 to"
        ):
            read_list(from_one, ListReading(first_label=0), num_classes=4)
        with pytest.raises(
            InputError, match="label 5 is out of range; there are 4 classes, from 1 to 4"
        ):
            read_list(write_list(videos, "a.mp4 5"), ListReading(first_label=1), num_classes=4)
        # Zeros say where counting begins, and folders named like classes do.
        assert listed(write_list(videos, "a.mp4 0", "a.mp4 3"), num_classes=4)[1][1] == 3
        path = write_list(videos, "air drumming/v_2.mp4 3", "a.mp4 1", "a.mp4 2")
        assert [label for _, label in listed(path, class_names=NAMES)] == [3, 1, 2]
    with pytest.warns(InputWarning, match="count from 1"):
        path = write_list(videos, "Archery/v_1.mp4 1", "a.mp4 2")
        assert [label for _, label in listed(path, class_names=NAMES)] == [0, 1]
    with pytest.warns(InputWarning, match="No video of .* has label 0; labels are taken"):
        path = write_list(videos, "a.mp4 1", "a.mp4 2", "a.mp4 3")
        assert [label for _, label in listed(path, num_classes=4)] == [1, 2, 3]


def test_folders_numbered_from_zero_lose_no_frame(videos):
    (record,) = read_list(write_list(videos, "zero 5 0"))
    assert record.numbering == Numbering("{:05d}.jpg", 0, 5)
    assert [round(frame.mean() / 10) for frame in record.open().frames(range(5))] == [1, 2, 3, 4, 5]
    with pytest.raises(InputError, match=r"has no 00005\.jpg, but 6 frames are listed"):
        read_list(write_list(videos, "zero 6 0"))


def break_videos(folder: Path) -> Path:
    """A list of eight videos of which five are missing or broken."""
    (folder / "text.mp4").write_text("no video")
    content = (folder / "a.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(content[:100])
    gap = write_folder(folder / "gap", 5)
    (gap / "00003.jpg").unlink()
    damaged = write_folder(folder / "damaged", 5)
    (damaged / "00003.jpg").write_bytes(b"broken")
    names = ("a.mp4", "gone.mp4", "text.mp4", "cut.mp4", "gap 5", "damaged 5", "12 4", "a;b.mp4")
    return write_list(folder, *(f"{name} 1" for name in names))


def test_missing_and_broken_videos_are_listed_at_once(videos):
    with pytest.raises(InputError) as caught:
        read_list(break_videos(videos))
    message = str(caught.value)
    assert "has 4 unusable lines" in message, message
    for expected in (
        r"line 2: there is no video file .*gone\.mp4",
        r"line 3: .*text\.mp4 cannot be decoded",
        r"line 4: .*cut\.mp4 cannot be decoded",
        r"line 5: .*gap lacks 00003\.jpg",
        r"--skip-missing leaves",
    ):
        assert re.search(expected, message)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_missing_and_broken_videos_are_skipped_and_named(videos, elsewhere):
    path = break_videos(videos)
    target = videos / "left out.txt" if elsewhere else Path(f"{path}.skipped.txt")
    reading = ListReading(skip_missing=True, skipped_file=target if elsewhere else None)
    with pytest.warns(InputWarning, match="5 are missing or broken and left out, 0 are damaged"):
        assert [name for name, _ in listed(path, reading=reading)] == ["a.mp4", "12", "a;b.mp4"]
    lines = target.read_text().splitlines()
    assert lines[0] == f"# Left out of {path}: 5"
    assert [line.split("\t")[0] for line in lines[1:]] == [f"line {n}" for n in (2, 3, 4, 5, 6)]
    assert "damaged/00003.jpg is damaged" in lines[5]
    with pytest.raises(InputError, match="line 9: label 7 is out of range"):
        read_list(
            write_list(videos, *path.read_text().splitlines(), "a.mp4 7"), reading, num_classes=5
        )


def test_nowhere_to_name_what_is_skipped_is_said_before(videos):
    reading = ListReading(skip_missing=True, skipped_file=videos / "none" / "a.txt")
    with pytest.raises(InputError, match="--skipped-file"):
        read_list(break_videos(videos), reading)


def test_a_part_of_a_list_is_evenly_spaced(videos):
    path = write_list(videos, *(f"a.mp4 {label}" for label in range(10)))
    assert [label for _, label in listed(path, count=4)] == [0, 2, 5, 7]


def test_lists_that_are_no_lists(videos):
    with pytest.raises(InputError, match="line 1: there is no folder"):
        read_list(write_list(videos, "x" * 5000 + " 1 1"))
    (videos / "a.json").write_text('{"a.mp4": 3}')
    with pytest.raises(InputError, match="is no list of objects such as"):
        read_list(videos / "a.json")
    (videos / "a.json").write_text('[{"label": 3}]')
    with pytest.raises(InputError, match="entry 1: it has no path"):
        read_list(videos / "a.json")
    (videos / "a.csv").write_text("path,label\na.mp4,1,2\n")
    with pytest.raises(InputError, match=r"line 2: 'a\.mp4,1,2' has not the columns path, label"):
        read_list(videos / "a.csv")
    with pytest.raises(InputError, match=r"http://host/a\.mp4 is a network address"):
        read_list(write_list(videos, "http://host/a.mp4 1"))


def test_training_and_validation_lists_belong_together(videos):
    """The training list shows that labels count from 1; each has its file of what was left out."""
    train, val = videos / "train.txt", videos / "val.txt"
    train.write_text("a.mp4 1\na.mp4 4\ngone.mp4 2\n")
    val.write_text("a.mp4 2\ngone.mp4 3\n")
    (videos / "classes.txt").write_text("\n".join(NAMES))
    reading = ListReading(skip_missing=True, skipped_file=videos / "out.txt")
    with pytest.warns(InputWarning):
        lists = own_lists(train, val, reading=reading, classes=videos / "classes.txt")
    assert [video.label for video in (*lists.train, *lists.val)] == [0, 3, 1]
    assert str(train) in (videos / "out.txt").read_text()
    assert str(val) in (videos / "out.val.txt").read_text()

from __future__ import annotations

import pytest
from PIL import Image

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.catalog import DATASETS
from adafuse_deploy.data.flips import flip_rule, mirrored_labels
from adafuse_deploy.data.synthetic import CLASS_NAMES

SOMETHING_V2 = {
    86: "Pulling something from left to right",
    87: "Pulling something from right to left",
    93: "Pushing something from left to right",
    94: "Pushing something from right to left",
    50: "Plugging something into something but pulling it right out as you remove your hand",
    166: "Turning the camera left while filming something",
    167: "Turning the camera right while filming something",
}
JESTER = {
    0: "Swiping Left",
    1: "Swiping Right",
    6: "Sliding Two Fingers Left",
    7: "Sliding Two Fingers Right",
    14: "Turning Hand Clockwise",
    15: "Turning Hand Counterclockwise",
}


def class_names(count: int, known: dict[int, str]) -> list[str]:
    return [known.get(label, f"class {label}") for label in range(count)]


@pytest.mark.parametrize(
    ("name", "train", "val", "classes", "path"),
    [
        ("somethingv1", "train_split.txt", "validation_split.txt", "classInd.txt", "100218"),
        ("somethingv2", "train_videofolder.txt", "val_videofolder.txt", "classInd.txt", "val/32"),
        ("jester", "train_split.txt", "validation_split.txt", "classInd.txt", "34870"),
        (
            "minikinetics",
            "mini_train_videofolder.txt",
            "mini_val_videofolder.txt",
            "minik_classInd.txt",
            "images/val/air drumming/7LSJ2Ryv1a8_000000_000010",
        ),
    ],
)
def test_published_lists_are_read(tmp_path, name, train, val, classes, path):
    data = DATASETS[name]
    folder = tmp_path / "frames" / path
    folder.mkdir(parents=True)
    for index in range(1, 10):
        Image.new("RGB", (8, 8)).save(folder / f"{index:05d}.jpg")
    numbered = name != "minikinetics"
    names = [f"action {label}" for label in range(data.num_classes)]
    lines = [f"{label},{text}" if numbered else text for label, text in enumerate(names)]
    (tmp_path / classes).write_text("\n".join(lines) + "\n")
    (tmp_path / train).write_text(f"{path} 9 {data.num_classes - 1}\n")
    (tmp_path / val).write_text(f"{path} 9 {data.num_classes}\n")

    assert data.class_names(tmp_path) == tuple(names)
    (record,) = data.read("train", tmp_path, tmp_path / "frames")
    assert (record.path, record.open().num_frames, record.label) == (
        folder,
        9,
        data.num_classes - 1,
    )
    assert [frame.shape for frame in record.open().frames([0, 8])] == [(8, 8, 3)] * 2
    with pytest.raises(InputError, match=f"label {data.num_classes} is out of range"):
        data.read("val", tmp_path, tmp_path / "frames")


def test_a_class_file_of_another_data_set_is_refused(tmp_path):
    (tmp_path / "classInd.txt").write_text("\n".join(class_names(174, {})))
    with pytest.raises(InputError, match="174 classes but jester has 27"):
        DATASETS["jester"].class_names(tmp_path)


def test_the_papers_flips():
    assert {name: data.flip for name, data in DATASETS.items()} == {
        "somethingv1": "none",
        "somethingv2": "none",
        "jester": "none",
        "minikinetics": "free",
    }


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (class_names(174, SOMETHING_V2), [(86, 87), (93, 94), (166, 167)]),
        (class_names(27, JESTER), [(0, 1), (6, 7), (14, 15)]),
        (CLASS_NAMES, [(0, 1), (8, 9)]),
        (["yoga", "air drumming"], []),
    ],
)
def test_mirrored_classes_are_found_by_name(names, pairs):
    expected = dict(pairs) | {second: first for first, second in pairs}
    assert mirrored_labels(names) == expected
    assert flip_rule("mirrored", names) == expected


def test_flip_rules():
    assert flip_rule("none", ()) == "none"
    assert flip_rule("free", ()) == "free"
    with pytest.raises(InputError, match="give a class file"):
        flip_rule("mirrored", ())
    with pytest.raises(InputError, match="not 'always'"):
        flip_rule("always", ())

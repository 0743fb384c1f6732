"""Class files in every published form, and what is none."""

from __future__ import annotations

import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.data.class_files import read_class_names

ABC = ("air drumming", "Turning, twice", "yoga")


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("classInd.txt", "air drumming\nyoga\n", ("air drumming", "yoga")),
        ("classInd.txt", "0,air drumming\n1,Turning, twice\n2,yoga\n", ABC),
        ("classInd.txt", "1 ApplyEyeMakeup\n2 Archery\n", ("ApplyEyeMakeup", "Archery")),
        (
            "classInd.txt",
            "# of HMDB51\nclimb stairs 1\n\nbrush_hair 0\n",
            ("brush_hair", "climb stairs"),
        ),
        ("classInd.txt", "1,b\n0,a\n", ("a", "b")),
        ("classInd.txt", "b;1\na;0\n", ("a", "b")),
        ("classInd.txt", "0: a\n1: b\n", ("a", "b")),
        ("classInd.txt", "100 metres\nyoga\n", ("100 metres", "yoga")),
        ("classInd.txt", "Level 1\nLevel 2\n", ("Level 1", "Level 2")),
        ("classInd.txt", "Turning, twice\nyoga\n", ("Turning, twice", "yoga")),
        ("labels.csv", 'id,name\n1,"Turning, twice"\n0,air drumming\n2,yoga\n', ABC),
        ("labels.csv", "name;id\nb;2\na;1\n", ("a", "b")),
        ("labels.csv", "class,label,parent\na,1,sport\nb,0,music\n", ("b", "a")),
        ("labels.csv", "name,parent\nb,sport\na,music\n", ("b", "a")),
        ("labels.tsv", "label\tname\n0\ta\n1\tb\n", ("a", "b")),
        ("labels.json", json_text(ABC), ABC),
        ("labels.json", json_text({"yoga": "2", "air drumming": "0", "Turning, twice": "1"}), ABC),
        ("labels.json", json_text({"yoga": 3, "air drumming": 1, "Turning, twice": 2}), ABC),
        ("labels.json", json_text({"1": "b", "0": "a"}), ("a", "b")),
        ("labels.txt", json_text([{"id": 1, "name": "b"}, {"id": 0, "name": "a"}]), ("a", "b")),
    ],
)
def test_every_form(tmp_path, name, text, names):
    (tmp_path / name).write_text(text)
    assert read_class_names(tmp_path / name) == names


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "empty"),
        ("a.json", "[]", "empty"),
        ("a.txt", "# only a comment", "empty"),
        ("a.txt", "0,a\n2,b\n", "without gaps"),
        ("a.txt", "5 a\n6 b\n", "without gaps"),
        ("a.txt", "video0 6 0\nvideo1 6 0\n", "without gaps"),
        ("a.txt", "yoga\nyoga\n", "'yoga' occurs 2 times"),
        ("a.json", '{"a": 0', "no valid JSON"),
        ("a.txt", '{"a": 0', "no valid JSON"),
        ("a.json", '{"a": {"id": 0}}', "neither a list of names nor a map"),
        ("a.json", '{"a": 1.5}', "neither a list"),
        ("a.json", '"yoga"', "neither a list"),
        ("a.json", "[1, 2]", "neither a list"),
        ("a.csv", "yoga,sport\npiano,music\n", "a table without a header"),
        ("a.csv", "id,parent\n0,sport\n1,music\n", "none of its columns id, parent"),
        ("a.csv", "id,name\n0,a\n1,b,c\n", "not the 2 columns"),
        ("a.csv", "label,youtube_id,time_start\nyoga,x1,3\nyoga,x2,9\n", "without gaps"),
        ("a.yaml", "names:\n- yoga\n", "'names:' is no class name"),
        ("a.txt", "yoga/v1.avi\nyoga/v2.avi\n", r"'yoga/v1.avi' is no class name"),
    ],
)
def test_what_is_no_class_file_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_class_names(tmp_path / name)

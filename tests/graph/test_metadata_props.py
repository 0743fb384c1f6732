"""Reading metadata without weights: the same as parsing all, and refusals of damage."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from adafuse_deploy.graph.metadata_props import metadata_props
from adafuse_deploy.graph.read import read_graph, read_metadata


def test_same_as_parsing_everything(tiny_graph: Path) -> None:
    assert read_metadata(tiny_graph) == read_graph(tiny_graph)[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x72\x05ab", "bytes are missing"),
        (b"\x08", "ends inside a number"),
        (b"\x08" + b"\xff" * 10, "more than 64 bits"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_damage(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metadata_props(BytesIO(content))

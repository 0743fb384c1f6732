"""Reading metadata without weights is reading it with them; damage is in tests/test_vectors.py."""

from __future__ import annotations

from pathlib import Path

from adafuse_deploy.graph.read import read_graph, read_metadata


def test_same_as_parsing_everything(tiny_graph: Path) -> None:
    assert read_metadata(tiny_graph) == read_graph(tiny_graph)[1]

"""Tables of values that came from outside."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.tables import read_column, text_in_table, write_table

NAME = b"b\xff\xc3\xbc.mp4"
ROWS = [{"path": os.fsdecode(NAME), "frames": 3}, {"path": "whole.mp4", "frames": None}]
COLUMNS: dict[str, type] = {"path": str, "frames": int}


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    """CSV and JSON give back the very name; Parquet, whose text is UTF-8, tells what it was."""
    for suffix in ("csv", "jsonl"):
        write_table(tmp_path / f"table.{suffix}", COLUMNS, ROWS)
    with open(tmp_path / "table.csv", newline="", errors="surrogateescape") as file:
        names = [row["path"] for row in csv.DictReader(file)]
    assert [os.fsencode(name) for name in names] == [NAME, b"whole.mp4"]
    line = (tmp_path / "table.jsonl").read_text().splitlines()[0]
    assert os.fsencode(json.loads(line)["path"]) == NAME

    parquet = pytest.importorskip("pyarrow.parquet")
    assert text_in_table("t.csv", os.fsdecode(NAME)) == os.fsdecode(NAME)
    assert text_in_table("t.parquet", os.fsdecode(NAME)) == r"b\udcffü.mp4"
    write_table(tmp_path / "table.parquet", COLUMNS, ROWS)
    assert parquet.read_table(tmp_path / "table.parquet").to_pylist() == [
        {"path": r"b\udcffü.mp4", "frames": 3},
        {"path": "whole.mp4", "frames": None},
    ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_column_is_read_as_it_was_written(suffix: str, tmp_path: Path) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    table = tmp_path / f"table.{suffix}"
    texts = ['comma, "quotes"\nand lines', None, os.fsdecode(NAME)]
    rows = [{"path": "p", "error": text} for text in texts]
    write_table(table, {"path": str, "error": str}, rows)
    assert read_column(table, "path") == ["p"] * 3
    *same, odd = read_column(table, "error")
    assert same == texts[:2] and odd == text_in_table(table, os.fsdecode(NAME))
    with pytest.raises(InputError, match="no table with a column 'label'"):
        read_column(table, "label")
    table.write_bytes(b"\x00something else\xff")
    with pytest.raises(InputError, match="no table with a column"):
        read_column(table, "path")

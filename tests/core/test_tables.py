"""Tables of values that came from outside."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from adafuse_deploy.core.tables import write_table

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
    write_table(tmp_path / "table.parquet", COLUMNS, ROWS)
    assert parquet.read_table(tmp_path / "table.parquet").to_pylist() == [
        {"path": r"b\udcffü.mp4", "frames": 3},
        {"path": "whole.mp4", "frames": None},
    ]

"""Rows as a file: CSV, JSON lines or Parquet, by the file's suffix."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.packages import explained

TABLE_SUFFIXES = (".parquet", ".csv", ".jsonl")


def check_table(target: str | os.PathLike[str]) -> None:
    """See that a table of this kind can be written here.

    Raises:
        MissingDependencyError: it takes a package that is missing.
    """
    if Path(target).suffix == ".parquet":
        with explained():
            import pyarrow.parquet  # noqa: F401


def write_table(
    target: str | os.PathLike[str],
    columns: Mapping[str, type],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write rows, whole or not at all.

    Args:
        target: a file whose suffix is one of :data:`TABLE_SUFFIXES`.
        columns: their names, and str, int or float.
        rows: a value, or None, for every column.

    Raises:
        InputError: the file cannot be written.
        MissingDependencyError: as :func:`check_table`.
    """
    check_table(target)
    with atomic_path(target) as path:
        if path.suffix == ".parquet":
            _write_parquet(path, columns, rows)
        elif path.suffix == ".csv":
            # Names of files that are no UTF-8 are written as the bytes they are.
            with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)
        else:
            with open(path, "w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json_text({name: row[name] for name in columns}) + "\n")


def read_column(target: str | os.PathLike[str], name: str) -> list[str | None]:
    """Return a column of text of what :func:`write_table` wrote; empty text is None.

    Raises:
        InputError: it is no such table.
        MissingDependencyError: as :func:`check_table`.
    """
    check_table(target)
    target = Path(target)
    try:
        if target.suffix == ".parquet":
            import pyarrow.parquet

            column = pyarrow.parquet.read_table(target, columns=[name])[name].to_pylist()
        elif target.suffix == ".csv":
            with open(target, newline="", encoding="utf-8", errors="surrogateescape") as file:
                header, *rows = csv.reader(file, strict=True)
                place = header.index(name)
                column = [row[place] for row in rows]
        else:
            with open(target, encoding="utf-8") as file:
                column = [json.loads(line)[name] for line in file]
    except (ValueError, LookupError, TypeError, csv.Error) as error:  # pyarrow's are ValueErrors
        raise InputError(
            f"{target} is no table with a column {name!r}; choose another name."
        ) from error
    return [text or None for text in column]


def text_in_table(target: str | os.PathLike[str], text: str) -> str:
    """Return how a table of this kind holds a text.

    Names of files may be no UTF-8, which Parquet cannot hold; there such a byte is ``\\udcff``.
    """
    if Path(target).suffix == ".parquet":
        return text.encode(errors="backslashreplace").decode()
    return text


def _write_parquet(
    path: Path, columns: Mapping[str, type], rows: Sequence[Mapping[str, Any]]
) -> None:
    import pyarrow
    import pyarrow.parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])

    def held(value: Any) -> Any:
        return text_in_table(path, value) if isinstance(value, str) else value

    valid = [{name: held(value) for name, value in row.items()} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(valid, schema=schema), path)

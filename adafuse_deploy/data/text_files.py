"""Reading the text files that name videos and classes."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from adafuse_deploy.core.errors import InputError

SEPARATORS = (",", ";", "\t")
"""What separates the fields of a table."""


def read_text(path: Path) -> str:
    """Return a UTF-8 text, with or without a byte order mark.

    Raises:
        InputError: the file is missing or no such text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable UTF-8 text file ({error}).") from error


def split_fields(line: str, separator: str) -> list[str]:
    """Return the fields of a line of a table; those in double quotes may hold the separator."""
    return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]


def header_of(line: str, known: Iterable[str]) -> tuple[list[str], str] | None:
    """Return the column names, in lower case, and the separator of a table's first line.

    Args:
        line: the first line.
        known: columns of which a header has at least one.

    Returns:
        None if the line is no header of at least two columns.
    """
    for separator in SEPARATORS:
        fields = [field.lower() for field in split_fields(line, separator)]
        if len(fields) > 1 and not set(fields).isdisjoint(known):
            return fields, separator
    return None

"""Class files: the names of the classes, in the forms in which data sets are published."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.text_files import SEPARATORS, header_of, read_text, split_fields

_NAME_COLUMNS = ("name", "class_name", "label_name", "class", "label", "action", "category")
_INDEX_COLUMNS = ("id", "index", "number", "class_id", "label_id", "class_index", "label_index")
_APART = r"(?:\s*[,;:\t]\s*|\s+)"
_NUMBERED = (
    re.compile(rf"(?P<number>[0-9]+){_APART}(?P<name>.+)"),
    re.compile(rf"(?P<name>.+?){_APART}(?P<number>[0-9]+)"),
)
_NO_NAME = re.compile(r"- .*|<.*|.*:|.*\.(mp4|avi|webm|mkv|mov|jpe?g|png)", re.IGNORECASE)
"""Lines of YAML, of XML and of lists of videos."""


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read a class file.

    It holds one name per line; or a number and a name, or a name and a number, per line, apart by
    space, comma, semicolon, colon or tab; or a table with a header; or JSON: a list of names, a
    map from name to number or from number to name, or a list of objects with both.  Numbers run
    from 0 or 1, in any order.  Blank lines and lines that begin with ``#`` are passed over.

    Returns:
        The names in the order of their numbers.

    Raises:
        InputError: the file cannot be read, is empty or is none of these, its numbers leave gaps,
            or a name occurs twice.
    """
    path = Path(path)
    text = read_text(path)
    if path.suffix.lower() == ".json" or re.match(r"\s*(\{|\[\s*[\"{\]])", text):
        names = _from_json(text, path)
    else:
        lines = [line.strip() for line in text.splitlines()]
        names = _from_lines([line for line in lines if line and not line.startswith("#")], path)
    if not names:
        raise InputError(f"The class file {path} is empty; write one class name per line.")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise _refused(path, f"the name {name!r} occurs {times} times")
    return names


def _from_json(text: str, path: Path) -> tuple[str, ...]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise _refused(path, f"it is no valid JSON, {error}") from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return tuple(content)
    pairs: list[tuple[Any, Any]] = []
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        pairs = [(_value(entry, _INDEX_COLUMNS), _value(entry, _NAME_COLUMNS)) for entry in content]
    # From name to number, as Something-Something V2 has it, or from number to name.
    for numbered in ([(number, name) for name, number in pairs], pairs):
        found = [(_number(number), name) for number, name in numbered]
        if found and all(number is not None and isinstance(name, str) for number, name in found):
            return _ordered([(number or 0, name) for number, name in found], path)
    raise _refused(path, "its JSON is neither a list of names nor a map of names and numbers")


def _from_lines(lines: Sequence[str], path: Path) -> tuple[str, ...]:
    header = header_of(lines[0], _INDEX_COLUMNS + _NAME_COLUMNS) if len(lines) > 1 else None
    if header:
        columns, separator = header
        rows = [split_fields(line, separator) for line in lines[1:]]
        return _from_table(columns, rows, path)
    for pattern in _NUMBERED:
        matches = [match for line in lines if (match := pattern.fullmatch(line))]
        if matches and len(matches) == len(lines):
            pairs = [(int(match["number"]), match["name"].strip('"')) for match in matches]
            names = _ordered(pairs, path)
            if len(set(names)) == len(names):
                return names
            # The numbers are part of the names: "Level 1", "Level 2".
    for separator in SEPARATORS:
        widths = {len(split_fields(line, separator)) for line in lines}
        if len(lines) > 1 and len(widths) == 1 and min(widths) > 1:
            raise _refused(path, "it is a table without a header and without numbers")
    for line in lines:
        if _NO_NAME.fullmatch(line):
            raise _refused(path, f"{line!r} is no class name")
    return tuple(lines)


def _from_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], path: Path
) -> tuple[str, ...]:
    """Return the names of a table; the first column that is all numbers numbers them."""
    if any(len(row) != len(columns) for row in rows):
        raise _refused(path, f"its lines have not the {len(columns)} columns of its header")
    table = dict(zip(columns, zip(*rows, strict=True), strict=True))
    numbers = next((name for name in columns if all(map(str.isdecimal, table[name]))), None)
    names = next((name for name in _NAME_COLUMNS if name in table and name != numbers), None)
    if names is None:
        raise _refused(path, f"none of its columns {', '.join(columns)} has the names")
    if numbers is None:
        return tuple(table[names])
    pairs = zip(map(int, table[numbers]), table[names], strict=True)
    return _ordered(list(pairs), path)


def _ordered(pairs: Sequence[tuple[int, str]], path: Path) -> tuple[str, ...]:
    """Return names in the order of their numbers."""
    numbers = sorted(number for number, _ in pairs)
    if numbers[0] > 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise InputError(
            f"The numbers in the class file {path} do not run from 0 or 1 without gaps; "
            "number the classes in order or leave the numbers out."
        )
    return tuple(name for _, name in sorted(pairs))


def _value(entry: dict[str, Any], columns: Iterable[str]) -> Any:
    return next((entry[column] for column in columns if column in entry), None)


def _number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _refused(path: Path, reason: str) -> InputError:
    return InputError(
        f"The class file {path} cannot be understood: {reason}. Write one name per line, or a JSON "
        "list of names."
    )

"""The entries of list files, in the forms in which data sets are published."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.labels import plain_name
from adafuse_deploy.data.text_files import header_of, read_text, split_fields

VIDEO_SUFFIXES = (".mp4", ".webm", ".avi", ".mkv", ".mov")
"""What the file of a video is looked for with that is listed by its number or name alone."""

_PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "video_path", "video"),
    *("video_name", "frame_dir", "folder", "video_id", "youtube_id", "id"),
)
_LABEL_COLUMNS = (
    *("label_id", "class_id", "label_index", "class_index", "target", "label", "class"),
    *("label_name", "class_name", "action", "category"),
)
_COUNT_COLUMNS = ("num_frames", "total_frames", "n_frames", "frame_count", "frames")

_SEPARATOR = r"(\s*[,;\t]\s*|\s+)"
_LAST_NUMBER = re.compile(rf"(.+?){_SEPARATOR}(-?[0-9]+)")
_SEVERAL_NUMBERS = re.compile(r"(.+?)((?:[\s,;|/]+[0-9]+){2,})")
_ALTERNATIVES = re.compile(rf"(.+?){_SEPARATOR}[0-9]+([|/][0-9]+)+")

Exists = Callable[[str], bool]
"""Whether a listed path names a file or a folder."""


@dataclass(frozen=True)
class Entry:
    """What a list says about one video.

    Attributes:
        paths: where the video may be; the first that exists is meant.
        label: number or name of the class; None where the list has none.
        num_frames: images in the folder; None where the list does not say.
        one_number: the line has one number, which for a folder may be either of these.
    """

    paths: tuple[str, ...]
    label: int | str | None = None
    num_frames: int | None = None
    one_number: bool = False


def parse_list(
    path: Path, class_indices: Mapping[str, int], exists: Exists
) -> Iterator[tuple[str, Entry | InputError]]:
    """Yield the entries of a list, each with its place ("line 3"), or what is wrong with it.

    Args:
        path: the list: text, CSV with or without a header, or JSON.
        class_indices: what :func:`plain_name` makes of the classes' names; to find where a path
            ends and a name begins.
        exists: to tell paths from comments and counts from labels.

    Raises:
        InputError: the file cannot be read, or is JSON or a table without videos.
    """
    text = read_text(path)
    if path.suffix.lower() == ".json" or re.match(r"\s*(\{\s*\"|\[\s*[{\"\]])", text):
        yield from _json_entries(text, path)
        return
    lines = [
        (f"line {number}", line)
        for number, line in enumerate(map(str.strip, text.splitlines()), start=1)
        if line and not _is_comment(line, exists)
    ]
    header = None
    if lines and not exists(lines[0][1]):
        first = lines[0][1]
        alone = first.lower() in _PATH_COLUMNS
        header = ([first.lower()], ",") if alone else header_of(first, _PATH_COLUMNS)
    for place, line in lines[1 if header else 0 :]:
        try:
            if header:
                fields = split_fields(line, header[1])
                if len(fields) != len(header[0]):
                    raise InputError(f"{line!r} has not the columns {', '.join(header[0])}.")
                yield place, _from_columns(dict(zip(header[0], fields, strict=True)))
            else:
                yield place, _from_line(line, class_indices, exists)
        except InputError as error:
            yield place, error


def _is_comment(line: str, exists: Exists) -> bool:
    """Whether a line that begins with # is no video whose name does."""
    if not line.startswith("#"):
        return False
    ends = [match.start() for match in re.finditer(r"[\s,;]", line)]
    return not any(exists(line[:end]) for end in (*ends, len(line)))


def _from_line(line: str, class_indices: Mapping[str, int], exists: Exists) -> Entry:
    """Understand one line without a header."""
    if exists(line):
        return Entry((line,))
    if (listed := _ALTERNATIVES.fullmatch(line)) and exists(listed[1]):
        raise _several_labels(listed[1])
    if '"' in line:
        for separator in (",", ";", "\t", " "):
            fields = split_fields(line, separator)
            if len(fields) in (2, 3) and not any('"' in field for field in fields):
                columns = ("path", "label") if len(fields) == 2 else ("path", "frames", "label")
                return _from_columns(dict(zip(columns, fields, strict=True)))
    for apart in re.finditer(r"[\s,;]", line):
        path, name = line[: apart.start()].strip(), line[apart.end() :].strip()
        named = not name.isdecimal() and plain_name(name) in class_indices
        if named and (apart[0] != " " or exists(path)):
            return Entry(_places(path), name)
    if match := _LAST_NUMBER.fullmatch(line):
        return _numbered(line, match, exists)
    path, separator, name = line.partition(";")
    if separator and path:
        return Entry(_places(path.strip()), name.strip() or None)
    return Entry((line,))


def _numbered(line: str, match: re.Match[str], exists: Exists) -> Entry:
    """Understand a line that ends in a number: its label, with a count before it or without."""
    path, separator, label = match.groups()
    if exists(path):
        return Entry((path,), int(label), one_number=True)
    count = _LAST_NUMBER.fullmatch(path)
    if count and count[2].strip() == separator.strip():
        entry = Entry((count[1],), int(label), int(count[3]))
    else:
        entry = Entry((path,), int(label), one_number=True)
    several = _SEVERAL_NUMBERS.fullmatch(line)
    if several and not exists(entry.paths[0]) and exists(several[1]):
        raise _several_labels(several[1])
    return entry


def _json_entries(text: str, path: Path) -> Iterator[tuple[str, Entry | InputError]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"The list {path} is no valid JSON: {error}.") from error
    if not isinstance(content, list):
        raise InputError(
            f"The JSON list {path} is no list of objects such as "
            '{"path": "a.mp4", "label": 3} or {"id": "78687", "template": "Closing [something]"}.'
        )
    for number, item in enumerate(content, start=1):
        place = f"entry {number}"
        try:
            if isinstance(item, str):
                yield place, Entry((item,))
            elif isinstance(item, dict):
                yield place, _from_columns({str(key).lower(): item[key] for key in item})
            else:
                raise InputError(f"{item!r} is no object with a path.")
        except InputError as error:
            yield place, error


def _from_columns(values: Mapping[str, Any]) -> Entry:
    """Understand a row of a table or an object of JSON."""
    path = _value(values, _PATH_COLUMNS)
    if path is None:
        raise InputError("it has no path; name that column 'path' or 'id'.")
    path = str(path)
    # "Closing [something]" is the class; 20BN's label is the sentence of this very video.
    label_columns = ("template", *_LABEL_COLUMNS) if "template" in values else _LABEL_COLUMNS
    label = _value(values, label_columns)
    if isinstance(label, (list, tuple)) or re.fullmatch(r"\d+([\s,;|/]+\d+)+", str(label)):
        raise _several_labels(path)
    if isinstance(label, str) and re.fullmatch("-?[0-9]+", label):
        label = int(label)
    count = _value(values, _COUNT_COLUMNS)
    if count is not None and not str(count).isdecimal():
        raise InputError(f"{count!r} is no number of frames.")
    if not isinstance(label, (int, str, type(None))):
        raise InputError(f"{label!r} is neither number nor name of a class.")
    frames = None if count is None else int(count)
    if "time_start" in values and "time_end" in values:
        return Entry(_kinetics_places(path, values), label, frames)
    return Entry(_places(path), label, frames)


def _value(values: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """Return the value of the first of some columns that has one."""
    return next((values[name] for name in columns if values.get(name) not in (None, "")), None)


def _kinetics_places(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the clip of a video may be: as Kinetics' downloaders lay it out."""
    try:
        start, end = (int(float(values[key])) for key in ("time_start", "time_end"))
    except ValueError as error:
        raise InputError(f"{name} has no time_start and time_end in seconds.") from error
    stem = f"{name}_{start:06d}_{end:06d}"
    label, split = str(values.get("label", "")), str(values.get("split", ""))
    folders = dict.fromkeys(
        "/".join(part for part in parts if part)
        for parts in (
            (),
            (label,),
            (label.replace(" ", "_"),),
            (split,),
            (split, label),
            (split, label.replace(" ", "_")),
        )
    )
    bases = [f"{folder}/{stem}" if folder else stem for folder in folders]
    return tuple(place for base in bases for place in _places(base))


def _places(path: str) -> tuple[str, ...]:
    """A path, and the files that a name without suffix may stand for."""
    if Path(path).suffix.lower() in VIDEO_SUFFIXES:
        return (path,)
    return (path, *(path + suffix for suffix in VIDEO_SUFFIXES))


def _several_labels(path: str) -> InputError:
    return InputError(
        f"{path} has several labels, but a video shows one action here; list it with one label."
    )

"""List files: which videos, how many frames, which class; all checked before the work begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import check_target
from adafuse_deploy.data.checking import check_all, check_opening, check_wholly
from adafuse_deploy.data.labels import (
    NO_LABEL,
    ClassNumbers,
    guess_first_label,
    indices_of,
    plain_name,
)
from adafuse_deploy.data.list_files import Entry, parse_list
from adafuse_deploy.data.list_problems import ListProblems, MissingVideoError
from adafuse_deploy.data.media import check_local
from adafuse_deploy.data.numbering import find_numbering
from adafuse_deploy.data.record import Record

Labels = Literal["required", "optional", "unused"]
"""Whether a list must say the classes, may, or is not asked."""


@dataclass(frozen=True)
class ListReading:
    """How lists are read, as the command line asks.

    Attributes:
        root: folder that relative paths start from; the list's own by default.
        template: names of the images in folders, such as ``img_{:05d}.jpg``; found out by default.
        first_label: the number of the first class, 0 or 1; found out by default.
        skip_missing: read every video once before the work and leave out missing and broken ones.
        skipped_file: where to write which were left out; LIST.skipped.txt by default.
        strict_frames: refuse video files with damaged frames.
    """

    root: str | os.PathLike[str] | None = None
    template: str | None = None
    first_label: int | None = None
    skip_missing: bool = False
    skipped_file: str | os.PathLike[str] | None = None
    strict_frames: bool = False

    def for_validation(self, train: VideoList) -> ListReading:
        """Return how to read the validation list that belongs to a training list.

        Both count labels alike, though one may not show from where, and what is left out of each
        is named in a file of its own.
        """
        skipped = None if self.skipped_file is None else Path(self.skipped_file)
        if skipped is not None:
            skipped = skipped.with_name(f"{skipped.stem}.val{skipped.suffix}")
        return replace(self, first_label=train.first_label, skipped_file=skipped)


@dataclass(frozen=True)
class VideoList(Sequence[Record]):
    """The usable videos of a list.

    Attributes:
        records: the videos.
        first_label: number of the first class in the file.
    """

    records: tuple[Record, ...]
    first_label: int = 0

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self.records[index]


def read_list(
    path: str | os.PathLike[str],
    reading: ListReading | None = None,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] = (),
    labels: Labels = "required",
    count: int | None = None,
) -> VideoList:
    """Read a list file and check everything it names; docs/data.md describes the forms.

    Args:
        path: the list file.
        reading: how to read it.
        num_classes: labels must be below it.
        class_names: for lists that name the classes instead of numbering them.
        labels: whether labels are needed.
        count: take at most so many videos, evenly spaced because lists are often sorted by class.

    Raises:
        InputError: the list cannot be read or is empty, or lines are malformed or have a label out
            of range; or, unless ``reading.skip_missing``, videos are missing or cannot be opened.
            All such lines are reported together.
    """
    path, reading = Path(path), reading or ListReading()
    skipped = Path(reading.skipped_file or f"{path}.skipped.txt")
    if reading.skip_missing:
        check_target(skipped, "--skipped-file")
    folder = Path(reading.root) if reading.root is not None else path.parent
    indices = indices_of(class_names)
    problems = ListProblems(path)
    found: list[_Found] = []
    for place, entry in parse_list(path, indices, lambda name: os.path.exists(folder / name)):
        try:
            found.append(_find(entry, place, folder, reading, labels, indices))
        except InputError as error:
            problems.add(place, error)
    usable, first = _labelled(found, problems, reading.first_label, num_classes, indices)
    if count is not None and count < len(usable):
        usable = [usable[index * len(usable) // count] for index in range(count)]
    check = check_wholly if reading.skip_missing else check_opening
    findings = [] if problems.malformed else check_all([record for _, record in usable], check)
    for (place, _), finding in zip(usable, findings, strict=False):
        if finding.error:
            problems.add(place, MissingVideoError(str(finding.error)))
    if problems.malformed or (problems.missing and not reading.skip_missing):
        raise InputError(problems.sentence())
    records = [
        record for (_, record), finding in zip(usable, findings, strict=True) if not finding.error
    ]
    if reading.skip_missing:
        problems.write(skipped, usable, findings)
    if not records:
        raise InputError(f"The list {path} names no video; add lines 'path num_frames label'.")
    return VideoList(tuple(records), first)


@dataclass(frozen=True)
class _Found:
    """A video that is there, with its label as listed and its place in the list."""

    place: str
    record: Record
    label: int | str | None


def _labelled(
    found: Sequence[_Found],
    problems: ListProblems,
    first_label: int | None,
    num_classes: int | None,
    indices: Mapping[str, int],
) -> tuple[list[tuple[str, Record]], int]:
    """Return the videos with a usable label, each with its place, and the first class's number."""
    numbered = [(video.record.path, video.label) for video in found if isinstance(video.label, int)]
    labelled = any(video.label is not None for video in found)
    count = num_classes or len(indices)
    if first_label is None:
        first_label = guess_first_label(numbered, count, indices, str(problems.path))
    classes = ClassNumbers(first_label, count, indices)
    usable: list[tuple[str, Record]] = []
    for video in found:
        try:
            if labelled and video.label is None:
                raise InputError(f"{video.record.path} has no label, but others have.")
            label = NO_LABEL if video.label is None else classes.index(video.label)
        except InputError as error:
            problems.add(video.place, error)
            continue
        origin = f"{problems.path} {video.place}"
        usable.append((video.place, replace(video.record, label=label, origin=origin)))
    return usable, first_label


def _find(
    entry: Entry | InputError,
    place: str,
    folder: Path,
    reading: ListReading,
    labels: Labels,
    indices: Mapping[str, int],
) -> _Found:
    """Return the video of an entry, or say why there is none."""
    if isinstance(entry, InputError):
        raise entry
    name, label = entry.paths[0], entry.label
    check_local(name)
    # Lists without labels of UCF101 and its like: the folder is the class.
    parent = Path(name).parent.name
    if label is None and plain_name(parent) in indices:
        label = parent
    path = next((folder / name for name in entry.paths if os.path.exists(folder / name)), None)
    if label is None and labels == "required":
        raise InputError(f"{name!r} is neither 'path num_frames label' nor 'path label'.")
    if path is None:
        kind = "no folder" if entry.num_frames is not None else "no video file"
        raise MissingVideoError(f"there is {kind} {folder / name}.")
    if labels == "unused":
        label = None
    if os.path.isfile(path):
        video = Record(path, NO_LABEL, listed=entry.num_frames, strict=reading.strict_frames)
        return _Found(place, video, label)
    if entry.num_frames == 0:
        raise InputError(f"the folder {path} is listed with 0 frames.")
    try:
        numbering = find_numbering(path, reading.template, entry.num_frames)
    except InputError as error:
        raise MissingVideoError(str(error)) from error
    if entry.one_number and entry.label == numbering.count and labels != "unused":
        if labels == "required":
            raise InputError(
                f"{name} has {entry.label} frames, so {entry.label} is no label but their number; "
                "write 'path num_frames label'."
            )
        label = None
    return _Found(place, Record(path, NO_LABEL, numbering), label)

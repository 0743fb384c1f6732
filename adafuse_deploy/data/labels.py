"""From the labels of a list to classes: by number, counted from 0 or 1, or by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from adafuse_deploy.core.errors import InputError, InputWarning

NO_LABEL = -1
"""The label of a video whose class is not known."""


def plain_name(name: str) -> str:
    """Return a class name without case, the brackets of placeholders, and kinds of space."""
    return " ".join(re.sub(r"[\[\]]", "", name).replace("_", " ").split()).casefold()


def indices_of(class_names: Iterable[str]) -> dict[str, int]:
    """Return the class of every plain name."""
    return {plain_name(name): index for index, name in enumerate(class_names)}


@dataclass(frozen=True)
class ClassNumbers:
    """How a list says which class a video has.

    Attributes:
        first: number of the first class.
        num_classes: how many there are; 0 if that is not known.
        indices: the class of every plain name; empty if they are not known.
    """

    first: int
    num_classes: int
    indices: Mapping[str, int]

    def index(self, label: int | str) -> int:
        """Return the class of a label, from 0.

        Raises:
            InputError: there is no such class.
        """
        if isinstance(label, str):
            if not self.indices:
                raise InputError(
                    f"the class is named, {label!r}, but the names are not known; give a class "
                    "file (--classes)."
                )
            if plain_name(label) not in self.indices:
                raise InputError(f"{label!r} is none of the {len(self.indices)} classes.")
            return self.indices[plain_name(label)]
        index = label - self.first
        if index < 0 or (self.num_classes and index >= self.num_classes):
            last = f" to {self.first + self.num_classes - 1}" if self.num_classes else " on"
            raise InputError(
                f"label {label} is out of range; there are {self.num_classes or 'several'} "
                f"classes, from {self.first}{last}."
            )
        return index


def guess_first_label(
    videos: Sequence[tuple[PurePath, int]],
    num_classes: int,
    indices: Mapping[str, int],
    name: str,
) -> int:
    """Find out whether labels count from 0 or from 1, and say so where it is 1 or in doubt.

    Args:
        videos: paths and labels.
        num_classes: how many classes there are; 0 if that is not known.
        indices: the class of every plain name, for lists in whose paths they occur.
        name: of the list, for messages.
    """
    labels = {label for _, label in videos}
    if not labels or min(labels) < 1:
        return 0
    # As in UCF101, where the folder is the class: "Archery/v_Archery_g01_c01.avi 3".
    shown = {
        label - indices[plain_name(path.parent.name)]
        for path, label in videos
        if plain_name(path.parent.name) in indices
    }
    if shown == {0}:
        return 0
    if num_classes and max(labels) > num_classes:
        return 0  # of no use either way: the labels are reported
    if shown == {1} or max(labels) == num_classes or (not num_classes and min(labels) == 1):
        _say(f"The labels of {name} count from 1: 1 is the first class. (--first-label 0 or 1)")
        return 1
    if min(labels) == 1:
        _say(
            f"No video of {name} has label 0; labels are taken to count from 0 all the same. "
            "(--first-label 0 or 1)"
        )
    return 0


def _say(sentence: str) -> None:
    warnings.warn(InputWarning(sentence), stacklevel=3)

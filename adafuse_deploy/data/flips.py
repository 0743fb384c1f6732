"""Mirroring clips left to right: which data sets bear it and what it does to their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from adafuse_deploy.core.errors import InputError

Flip = str | Mapping[int, int]
"""How a data set bears mirroring: "none" (never mirror), "free" (every label stays), or a mapping
from label to the label of the mirrored action (labels not in it stay)."""

_OPPOSITES = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
}


def mirrored_labels(class_names: Sequence[str]) -> dict[int, int]:
    """Return the classes that mirroring turns into other ones, found by their names.

    "Pushing something from left to right" becomes "... from right to left", "Turning Hand
    Clockwise" becomes "... Counterclockwise".  A class whose mirrored name is no class keeps its
    label: "pulling it right out" has no opposite.
    """
    labels = {name.lower(): label for label, name in enumerate(class_names)}
    mirrored = (labels.get(_mirror(name.lower())) for name in class_names)
    return {
        label: other for label, other in enumerate(mirrored) if other is not None and other != label
    }


def flip_rule(kind: str, class_names: Sequence[str]) -> Flip:
    """Return the rule that a recipe names.

    Args:
        kind: "none", "free", or "mirrored" for :func:`mirrored_labels` of the class names.
        class_names: of the data set; only "mirrored" looks at them.

    Raises:
        InputError: there is no such rule, or "mirrored" has no names to go by.
    """
    if kind == "mirrored":
        if not class_names:
            raise InputError("flip 'mirrored' goes by the classes' names; give a class file.")
        return mirrored_labels(class_names)
    if kind not in ("none", "free"):
        raise InputError(f"flip is 'none', 'free' or 'mirrored', not {kind!r}.")
    return kind


def check_flip(flip: Flip) -> None:
    """Refuse what is no :data:`Flip`.

    Raises:
        InputError: it is neither "none", "free" nor a mapping that is its own inverse.
    """
    if isinstance(flip, str):
        if flip not in ("none", "free"):
            raise InputError(f"flip is 'none', 'free' or a mapping of labels, not {flip!r}.")
    elif any(flip.get(other) != label for label, other in flip.items()):
        raise InputError("Mirroring twice must give the first label again; complete the mapping.")


def _mirror(name: str) -> str:
    return re.sub(r"[a-z]+", lambda word: _OPPOSITES.get(word[0], word[0]), name)

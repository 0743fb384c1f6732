"""What is wrong with a list: with its lines, and with the videos they name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.core.files import write_text
from adafuse_deploy.data.checking import Finding
from adafuse_deploy.data.record import Record

SHOWN_PROBLEMS = 200
"""How many bad lines an error message quotes before it only counts them."""


class MissingVideoError(InputError):
    """A video is missing or broken, which may be left out; not a fault of the list."""


class ListProblems:
    """What is wrong with a list: with its lines, and with the videos they name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.malformed, self.missing = 0, 0
        self._lines: list[tuple[str, InputError]] = []

    def add(self, place: str, error: InputError) -> None:
        """Take note of what is wrong at a place such as "line 3"."""
        if isinstance(error, MissingVideoError):
            self.missing += 1
        else:
            self.malformed += 1
        self._lines.append((place, error))

    def sentence(self) -> str:
        """Return everything in one message."""
        lines = self._sorted()
        shown = "\n  ".join(f"{place}: {error}" for place, error in lines[:SHOWN_PROBLEMS])
        more = len(lines) - SHOWN_PROBLEMS
        rest = f"\n  ... and {more} more" if more > 0 else ""
        way_out = "\n--skip-missing leaves missing and broken videos out." if self.missing else ""
        many = "1 unusable line" if len(lines) == 1 else f"{len(lines)} unusable lines"
        return f"The list {self.path} has {many}:\n  {shown}{rest}{way_out}"

    def write(
        self, target: Path, usable: Sequence[tuple[str, Record]], findings: Sequence[Finding]
    ) -> None:
        """Write which videos are left out and which are used though damaged, and say how many."""
        lines = [f"# Left out of {self.path}: {self.missing}"]
        lines += [f"{place}\t{error}" for place, error in self._sorted()]
        damaged = [
            f"# used: {place}\t{record.path}: {'; '.join(finding.complaints)}"
            for (place, record), finding in zip(usable, findings, strict=True)
            if finding.complaints and not finding.error
        ]
        write_text(target, "\n".join([*lines, *damaged]) + "\n")
        if self.missing or damaged:
            sentence = (
                f"Of the videos of {self.path}, {self.missing} are missing or broken and left out, "
                f"{len(damaged)} are damaged and used; {target} names them."
            )
            warnings.warn(InputWarning(sentence), stacklevel=3)

    def _sorted(self) -> list[tuple[str, InputError]]:
        return sorted(self._lines, key=lambda line: int(line[0].split()[-1]))

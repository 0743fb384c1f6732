"""What CHANGELOG.md says of a version: ``python scripts/release_notes.py [VERSION]``.

Without one, of the newest that has a number.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def release_notes(changelog: str, version: str | None = None) -> str:
    """Return the section of a version, or of the newest one that has a number, without its title.

    Raises:
        SystemExit: there is no such version.
    """
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, body = section.partition("\n")
        name = title.split()[0].strip("[]")
        if name == version or (version is None and name[0].isdigit()):
            return body.strip() + "\n"
    raise SystemExit(f"CHANGELOG.md has no version {version or 'with a number'}.")


if __name__ == "__main__":
    print(release_notes(CHANGELOG.read_text(), *sys.argv[1:2]), end="")

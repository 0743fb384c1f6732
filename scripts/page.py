"""Tables that scripts write into pages, between two comments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adafuse_deploy.core.files import write_text

DOCS = Path(__file__).parent.parent / "docs"


def write_section(page: Path, name: str, script: str, text: str) -> None:
    """Replace what stands between the comments of section ``name`` in ``page``."""
    begin, end = f"<!-- {name}: scripts/{script} writes it -->", f"<!-- end of {name} -->"
    content = page.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1:
        raise SystemExit(f"{page} has no section between {begin} and {end}.")
    before, _, rest = content.partition(begin)
    write_text(page, f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

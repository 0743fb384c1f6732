"""Fenced blocks of Markdown pages, with what comments before them say about running them.

A comment in HTML, which readers of the page do not see, may stand before a block:

    <!-- not run: needs a GPU -->     why no test executes it
    <!-- exits with 4 -->             it is run and must end with this code
    <!-- before: camera = frames -->  what is run before it, in its own language

A block of ``text`` that follows one of ``sh`` is what that prints; numbers may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMENT = re.compile(r"<!-- (not run|exits with|before):? (.*?) ?-->", re.S)
FENCE = re.compile(
    r"(?P<comments>(?:^<!-- (?:(?!-->)[\s\S])*-->\n)*)^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, from the root of the repository.
        line: of its first line of code, from 1.
        language: the word behind the fence.
        code: its lines.
        not_run: why no test executes it; "" where one does.
        exit_code: that it must end with.
        before: code to run first, which the page does not show.
        output: what it prints, where the page shows it.
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str = ""
    exit_code: int = 0
    before: str = ""
    output: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return the pages whose blocks are run."""
    shipped = sorted((ROOT / "adafuse_deploy").rglob("README.md"))
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *shipped]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    return list(parsed(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()))


def parsed(text: str, page: str) -> Iterator[Block]:
    """Find the blocks of a page.

    Args:
        text: Markdown.
        page: its name.
    """
    found = list(FENCE.finditer(text))
    for index, match in enumerate(found):
        said = dict(COMMENT.findall(match["comments"]))
        after = found[index + 1] if index + 1 < len(found) else None
        shows = after is not None and after["language"] == "text"
        if after is not None and shows:  # only an empty line between them
            shows = not text[match.end() : after.start()].strip()
        yield Block(
            page,
            text.count("\n", 0, match.start("code")) + 1,
            match["language"],
            match["code"],
            " ".join(said.get("not run", "").split()),
            int(said.get("exits with", 0)),
            said.get("before", ""),
            after["code"] if after is not None and shows else "",
        )

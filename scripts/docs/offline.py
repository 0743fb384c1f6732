"""Refuse a site that fetches anything from elsewhere: fonts, scripts, styles, pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

FETCHED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
    "image": "href",
}
"""Elements that a browser fetches something for, and the attribute that says what."""
ADDRESS = re.compile(r"(?:https?:)?//")
IN_STYLE = re.compile(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address and ADDRESS.match(address):
            self.found.append(address)


def fetched(path: Path) -> list[str]:
    """Return what a page or style sheet of the site fetches from elsewhere."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return IN_STYLE.findall(text)
    parser = _Fetched()
    parser.feed(text)
    return parser.found + IN_STYLE.findall(text)


def on_post_build(config: MkDocsConfig) -> None:
    """Look through the site."""
    from mkdocs.exceptions import PluginError

    files = (path for path in Path(config.site_dir).rglob("*") if path.suffix in (".html", ".css"))
    found = {str(path): fetched(path) for path in files}
    foreign = [f"{path} fetches {', '.join(what)}" for path, what in found.items() if what]
    if foreign:
        raise PluginError("Pages must not need a network: " + "; ".join(foreign) + ".")

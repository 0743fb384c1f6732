"""Pages as plain Markdown beside those in HTML, and llms.txt (llmstxt.org) that lists them.

The index follows the navigation, and a page's sentence there is the first one of the page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation
    from mkdocs.structure.pages import Page

PAGES: dict[str, str] = {}
"""Source of a page -> its Markdown as it is in this build."""
INDEX: list[tuple[str, str, str]] = []
"""Section, title and source of every page in the order of the navigation."""


def first_sentence(markdown: str) -> str:
    """Return the first sentence of a page's text.

    Raises:
        ValueError: the page has no text behind its title.
    """
    for part in re.sub(r"<!--.*?-->", "", markdown, flags=re.S).split("\n\n"):
        text = " ".join(part.split())
        if text and not re.match(r"[#|!<]|```|:::|- ", text):
            text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")
            return re.split(r"(?<=[.!?:])\s+(?=[A-Z`])", text)[0].rstrip(":")
    raise ValueError("no text behind the title")


def llms_txt(
    name: str, about: str, index: list[tuple[str, str, str]], pages: dict[str, str]
) -> str:
    """Return the index: a section per section of the navigation, a line per page."""
    lines, section = [f"# {name}", "", f"> {about}"], ""
    for heading, title, uri in index:
        if heading != section:
            lines += ["", f"## {heading}", ""]
            section = heading
        made_in_html = "\n::: " in pages[uri]  # of docstrings
        address = uri.replace(".md", ".html") if made_in_html else uri
        lines.append(f"- [{title}]({address}): {first_sentence(pages[uri])}")
    return "\n".join(lines) + "\n"


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Note the order of pages."""
    INDEX.clear()
    for page in nav.pages:
        section = page.ancestors[-1].title if page.ancestors else page.title
        INDEX.append((section or "", page.title or "", page.file.src_uri))
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Note a page's Markdown."""
    PAGES[page.file.src_uri] = markdown
    return markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Write the index and the pages."""
    site = Path(config.site_dir)
    for uri, markdown in PAGES.items():
        (site / uri).parent.mkdir(parents=True, exist_ok=True)
        (site / uri).write_text(markdown, encoding="utf-8")
    text = llms_txt(config.site_name, config.site_description or "", INDEX, PAGES)
    (site / "llms.txt").write_text(text, encoding="utf-8")

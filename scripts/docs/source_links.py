"""Pages and files outside docs/ that the documentation links to become pages under source/.

So a link such as ``../adafuse_deploy/schema/operators.json`` is right in a checkout and on the
site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FOLDER = "source/"
ALWAYS = ("CHANGELOG.md", "CONTRIBUTING.md", "adafuse_deploy/recipes/README.md")
"""Pages of the navigation that nothing in docs/ links to."""
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")


def repository_path(uri: str) -> str:
    """Return where a page of the site stands in the repository."""
    return uri.removeprefix(FOLDER) if uri.startswith(FOLDER) else f"docs/{uri}"


def site_uri(path: str) -> str:
    """Return the source of the page that shows a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return FOLDER + (path if path.endswith(".md") else f"{path}.md")


def links(markdown: str, path: str) -> list[str]:
    """Return the files of the repository that a page links to.

    Args:
        path: of the page in the repository.
    """
    found = (match for match in LINK.findall(markdown) if "://" not in match)
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) for link in found]


def moved(markdown: str, uri: str) -> str:
    """Return a page whose links to files of the repository lead to pages of the site."""
    path = repository_path(uri)

    def replace(match: re.Match[str]) -> str:
        if "://" in match[1]:
            return match[1]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
        if path.startswith("docs/") and target.startswith("docs/"):
            return match[1]
        return posixpath.relpath(site_uri(target), posixpath.dirname(uri))

    return LINK.sub(replace, markdown)


def shown(path: str) -> str:
    """Return the page of a file that is not Markdown."""
    text = (ROOT / path).read_text(encoding="utf-8")
    title = f"# {Path(path).name}\n\n`{path}` in the repository.\n\n"
    return f"{title}```{Path(path).suffix[1:]}\n{text}```\n"


def outside(pages: dict[str, str]) -> set[str]:
    """Return the files outside docs/ that pages link to, and that those link to, and so on.

    Args:
        pages: path in the repository -> Markdown.
    """
    todo = [link for path, markdown in pages.items() for link in links(markdown, path)]
    todo += ALWAYS
    found: set[str] = set()
    while todo:
        path = todo.pop()
        if path in found or path.startswith("docs/") or not (ROOT / path).is_file():
            continue
        found.add(path)
        if path.endswith(".md"):
            todo += links((ROOT / path).read_text(encoding="utf-8"), path)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    from mkdocs.structure.files import File

    pages = {
        repository_path(file.src_uri): file.content_string for file in files.documentation_pages()
    }
    for path in sorted(outside(pages)):
        if path.endswith(".md"):
            file = File.generated(config, site_uri(path), abs_src_path=str(ROOT / path))
        else:
            file = File.generated(config, site_uri(path), content=shown(path))
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to them."""
    return moved(markdown, page.file.src_uri)

"""What the site makes of the repository, without building it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adafuse_deploy.cli import VERBS
from scripts import figures
from scripts.docs import llms, offline, reference, source_links


def test_figures_show_the_published_reports() -> None:
    for name, figure in figures.FIGURES_BY_NAME.items():
        assert (figures.FIGURES / f"{name}.svg").read_text() == figure(), name


def test_every_verb_and_option_is_in_the_reference() -> None:
    page = reference.cli_page()
    assert all(f"\n## {verb}\n" in page for verb in VERBS)
    assert "| `--mode [clip|stream]` |" in page
    assert "adafuse-deploy verify [OPTIONS] GRAPH [ENGINES]..." in page


def test_a_header_becomes_text_and_code() -> None:
    source = """/* The library. */
#ifndef ADAFUSE_ADAFUSE_H
#define ADAFUSE_ADAFUSE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens *one*, as in:
 *   int a; */
int adafuse_open(void); /* a number */

#ifdef __cplusplus
}
#endif

#endif
"""
    assert reference.header(source, "c") == (
        "The library.\n\nOpens \\*one\\*, as in:\n\n    int a;\n\n"
        "```c\nint adafuse_open(void); /* a number */\n```\n\n"
    )


def test_all_declarations_of_the_headers_are_in_the_reference() -> None:
    pages = reference.reference()
    for path in reference.HEADERS.iterdir():
        page = pages["reference/c.md" if path.name == "adafuse.h" else "reference/cpp.md"]
        for line in path.read_text().splitlines():
            if line.startswith(("ADAFUSE_API", "struct ", "class ADAFUSE_API")):
                assert line in page, (path.name, line)


@pytest.mark.parametrize(
    ("link", "there"),
    [
        (
            "../adafuse_deploy/schema/operators.json",
            "source/adafuse_deploy/schema/operators.json.md",
        ),
        ("../CHANGELOG.md", "source/CHANGELOG.md"),
        ("glossary.md", "glossary.md"),
        ("https://arxiv.org/abs/2102.05775", "https://arxiv.org/abs/2102.05775"),
    ],
)
def test_links_out_of_the_pages_lead_to_the_site(link: str, there: str) -> None:
    assert source_links.moved(f"[a]({link}) [b]({link}#c)", "page.md") == (
        f"[a]({there}) [b]({there}#c)"
    )


def test_links_back_into_the_pages() -> None:
    page = "source/adafuse_deploy/ops/triton/README.md"
    text = source_links.moved("[a](../../../docs/plugins.md) [b](block/README.md)", page)
    assert text == "[a](../../../../plugins.md) [b](block/README.md)"


def test_files_that_linked_pages_link_to_are_found() -> None:
    found = source_links.outside({"docs/page.md": "[a](../adafuse_deploy/ops/triton/README.md)"})
    assert "adafuse_deploy/ops/triton/block/README.md" in found
    assert not any(path.startswith("docs/") for path in found)


def test_the_index_for_language_models() -> None:
    pages = {
        "a.md": "# A\n\n<!-- x -->\n\nHow [this](b.md) works. More.",
        "b.md": "# B\n\n```sh\nx\n```\n\nTells *all*: `x` and y.",
    }
    text = llms.llms_txt("name", "about", [("One", "A", "a.md"), ("One", "B", "b.md")], pages)
    assert text == (
        "# name\n\n> about\n\n## One\n\n- [A](a.md): How this works.\n- [B](b.md): Tells *all*\n"
    )


def test_what_a_page_fetches_from_elsewhere_is_found(tmp_path: Path) -> None:
    page, style = tmp_path / "page.html", tmp_path / "style.css"
    page.write_text(
        '<a href="https://a.example">fine</a><img src="figures/x.svg">'
        '<script src="//b.example/x.js"></script><style>@import "https://c.example/f.css";</style>'
    )
    style.write_text("a { background: url(https://d.example/p.png) } b { color: url(#x) }")
    assert offline.fetched(page) == ["//b.example/x.js", "https://c.example/f.css"]
    assert offline.fetched(style) == ["https://d.example/p.png"]

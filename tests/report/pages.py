"""Pages as a program reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_VOID = {"meta", "link", "col", "img", "br", "path", "use", "rect"}


class PageReader(HTMLParser):
    """Elements, their attributes, and what stands in cells.

    Attributes:
        tags: of all elements.
        attributes: name and value of all of all elements.
        numbers: per ``<data>`` its value and its text.
        cells: texts of cells of tables and of figures at the top, without those numbers.
        text: everything that is read.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.numbers: list[tuple[float, str]] = []
        self.cells: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._value: str | None = None
        self.feed(html)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "data":
            self._value = dict(attributes)["value"]
        if tag in ("td", "dd"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "data":
            self._value = None

    def handle_data(self, text: str) -> None:
        if "style" in self._open:
            return
        self.text += text
        if self._value is not None:
            self.numbers.append((float(self._value), text))
        elif {"td", "dd"} & set(self._open):
            self.cells[-1] += text


def read(path: Path) -> PageReader:
    """Read a page that a verb wrote."""
    return PageReader(path.read_text(encoding="utf-8"))


def leaves(values: Any) -> Iterator[Any]:
    """Yield the strings, keys and numbers of a JSON value."""
    if isinstance(values, dict):
        yield from values
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from leaves(value)
    else:
        yield values


def assert_numbers_are_those_of(page: PageReader, json_file: Path) -> None:
    """Every number is one of the JSON, and reads as that; other cells are texts of the JSON."""
    found = list(leaves(json.loads(json_file.read_text())))
    known = {float(leaf) for leaf in found if isinstance(leaf, (int, float))}
    texts = {leaf for leaf in found if isinstance(leaf, str) and re.search(r"\d", leaf)}
    assert len(page.numbers) > 10
    for value, text in page.numbers:
        assert value in known, (value, text)
        assert _same(value, text), (value, text)
    for cell in page.cells:
        rest = cell.replace("95 %", "")  # how sure an interval is
        for text in sorted(texts, key=len, reverse=True):
            rest = rest.replace(text, "")
        assert not re.search(r"\d", rest), cell


def _same(value: float, text: str) -> bool:
    """Whether a text is a number in some unit, up to half of its last digit."""
    text = text.replace("\N{MINUS SIGN}", "-")
    unit = r"(?:\s(?:%|ms|\N{MULTIPLICATION SIGN}|MB|GMACs))?"
    found = re.fullmatch(rf"(-?[\d,]+(?:\.(\d+))?)(?:e([-+]\d+))?{unit}", text)
    assert found, text
    digits, decimals, exponent = found.groups()
    power = 10 ** int(exponent or "0")
    shown = float(digits.replace(",", "")) * power
    slack = 0.5001 * 10 ** -len(decimals or "") * power
    # Shares are shown in per cent, multiply-accumulates in billions, bytes in millions.
    return any(abs(shown - factor * value) <= slack for factor in (1, 100, 1e-6, 1e-9)) or (
        text.endswith("%") and shown == 99.9999 and 99.9999 < value < 100
    )


def assert_needs_nothing(page: PageReader) -> None:
    """No script, no address outside of the page, and a policy that forbids both."""
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    policy = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
    assert any(value.startswith("default-src 'none'") for value in policy)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert value.startswith(("data:", "#")), (tag, name, value[:80])
        assert "url(" not in value or value.count("url(") == value.count("url(#"), value[:80]

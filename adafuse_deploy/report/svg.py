"""Figures of Matplotlib as drawings inside of a page: text stays text, colours are the page's."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from adafuse_deploy.core.packages import explained

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

WIDTH = 360
"""Units of a drawing, about as many as a phone has pixels: so its text is as large there."""

COLOURS = {
    name: f"#ad{number:02x}fe"
    for number, name in enumerate(
        ("ink", "muted", "grid", "keep", "reuse", "skip", "ours", "peer", "saved", "bad", "page")
    )
}
"""Stand-ins for the page's colours, which light and dark give other values."""
_VARIABLES = {value: f"var(--{name})" for name, value in COLOURS.items()}
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "adafuse",
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # names may have dollars in them
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["grid"],
    "xtick.color": COLOURS["grid"],
    "ytick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "figure.dpi": 72,
}
_numbers = count(1)


@dataclass(frozen=True)
class Drawing:
    """An inline SVG, with a title and a description for those who do not see it."""

    svg: Markup


@contextmanager
def figure(height: float, width: float = WIDTH) -> Iterator[Figure]:
    """Yield an empty figure of so many units, in the page's style.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
    """
    with explained():
        import matplotlib
        from matplotlib.figure import Figure
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Widths of letters that its font lacks are guessed; the reader's browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield Figure(figsize=(width / 72, height / 72), facecolor="none")


def drawing(figure: Figure, title: str, description: str) -> Drawing:
    """Return a figure as a drawing.

    Args:
        figure: finished.
        title: what it is.
        description: what it shows, in words.
    """
    from markupsafe import Markup

    file = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(file.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("metadata") or (child.tag == f"{_SVG}style"):
                parent.remove(child)
    _own_names(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if "style" in element.attrib:
            element.set("style", _style(element.get("style", "")))
        if _LINK in element.attrib:
            element.set("href", element.attrib.pop(_LINK))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    number = next(_numbers)
    root.set("role", "img")
    root.set("aria-labelledby", f"title-{number} words-{number}")
    for name, element_id, text in (
        ("desc", f"words-{number}", description),
        ("title", f"title-{number}", title),
    ):
        said = ElementTree.Element(name, {"id": element_id})
        said.text = _plain(text)
        root.insert(0, said)
    return Drawing(Markup(ElementTree.tostring(root, encoding="unicode")))


def label(text: str, width: int = 44) -> str:
    """Return a name as a drawing can hold it: one line of at most ``width`` letters."""
    text = " ".join(_plain(text).split())
    return text if len(text) <= width else f"{text[: width // 2 - 1]}…{text[-(width // 2) :]}"


def _plain(text: str) -> str:
    """Return a text without the characters that XML has no place for."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _style(text: str) -> str:
    text = re.sub(r"font:\s*([\d.]+px)\s[^;]*", r"font-size: \1", text)
    text = re.sub(r"font-family:[^;]*;?\s*", "", text)
    return re.sub(r"#ad[0-9a-f]{2}fe", lambda found: _VARIABLES[found.group()], text)


def _own_names(root: ElementTree.Element) -> None:
    """Give what is referred to a name of this drawing's own, and nothing else any."""
    text = ElementTree.tostring(root, encoding="unicode")
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    prefix = f"d{next(_numbers)}-"
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in wanted:
            element.set("id", prefix + str(name))
        for key, value in element.attrib.items():
            if key == _LINK and value.startswith("#"):
                element.set(key, f"#{prefix}{value[1:]}")
            else:
                element.set(key, value.replace("url(#", f"url(#{prefix}"))

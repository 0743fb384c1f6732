"""What a page is made of, and how it becomes one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from adafuse_deploy.core.packages import explained
from adafuse_deploy.report.numbers import Number

if TYPE_CHECKING:
    from jinja2 import Environment

    from adafuse_deploy.report.svg import Drawing

PACKAGES = ("jinja2", "matplotlib")
"""What pages are made with."""

Words = Sequence[str | Number]
"""A sentence; its numbers carry their value."""
Cell = str | Number | tuple[str | Number, ...]


@dataclass(frozen=True)
class Fact:
    """One of the few figures at the top.

    Attributes:
        label: what it is.
        value: the figure.
        note: more about it.
    """

    label: str
    value: Cell
    note: Words = ()


@dataclass(frozen=True)
class Table:
    """Rows with a name in the first column.

    Attributes:
        caption: what they are.
        heads: of the columns.
        rows: a cell for each head.
        folded: shown on demand.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    kind: str = field(default="table", init=False)

    @property
    def stacks(self) -> bool:
        """Whether a row becomes a card on a phone, because it is long."""
        return len(self.heads) > 4

    @property
    def texts(self) -> set[int]:
        """The columns that are no numbers, which begin at the left."""
        columns = range(len(self.heads))
        return {n for n in columns if any(row[n] and isinstance(row[n], str) for row in self.rows)}


@dataclass(frozen=True)
class Chart:
    """A drawing with a caption."""

    drawing: Drawing
    caption: Words = ()
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class FrameMap:
    """Gates by frames, above the frames.

    Attributes:
        title: of the video.
        words: about it.
        gates: names of the rows.
        cells: per gate and frame the shares that are filled, at most two, of one in all.
        names: what the shares are, for those who do not see colours.
        pictures: addresses of the frames, or none.
        fill: "policy" or "flips", which have colours of their own.
    """

    title: str
    words: Words
    gates: Sequence[str]
    cells: Sequence[Sequence[Sequence[float]]]
    names: Sequence[str]
    pictures: Sequence[str] = ()
    fill: str = "policy"
    kind: str = field(default="map", init=False)


@dataclass(frozen=True)
class Legend:
    """What the colours of maps mean: a class of a colour and a word each."""

    entries: Sequence[tuple[str, str]]
    kind: str = field(default="legend", init=False)


Part = Table | Chart | FrameMap | Legend


@dataclass(frozen=True)
class Section:
    """Parts under a title."""

    title: str
    parts: Sequence[Part]
    words: Words = ()


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        verb: what was run.
        verdict: the answer, in one line.
        state: "passed", "failed", or "" where nothing was judged.
        subtitle: what was looked at.
        facts: the few figures that matter.
        sections: the rest.
        warnings: sentences.
    """

    verb: str
    verdict: Words
    subtitle: Words
    facts: Sequence[Fact]
    sections: Sequence[Section]
    state: str = ""
    warnings: Sequence[str] = ()


def render(page: Page) -> str:
    """Return a page as HTML.

    Raises:
        MissingDependencyError: Jinja is not installed.
    """
    html = _environment().get_template("page.html.jinja").render(page=page).lstrip()
    return html.encode("utf-8", "backslashreplace").decode()  # a path may be no UTF-8


@cache
def _environment() -> Environment:
    with explained():
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup, escape

    def shown(value: Any) -> Any:
        if isinstance(value, Number):
            text = Markup('<data value="{}">{}</data>')
            return value.text if value.value is None else text.format(value.json, value.text)
        if isinstance(value, tuple):
            return Markup("").join(escape(shown(part)) for part in value)
        return value

    files = resources.files("adafuse_deploy.report")
    environment = Environment(
        loader=FunctionLoader(lambda name: (files / name).read_text("utf-8")),
        autoescape=True,  # labels and paths may be anything
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup((files / "page.css").read_text("utf-8"))
    return environment

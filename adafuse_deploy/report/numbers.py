"""Numbers of a page: what they are in the JSON, and how they read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adafuse_deploy.core.json_text import json_text

NOTHING = "\N{EN DASH}"
"""For what is not known."""


@dataclass(frozen=True)
class Number:
    """A number of the JSON.

    Attributes:
        value: as it stands there; None if it is not known.
        text: for people.
    """

    value: float | int | None
    text: str

    @property
    def json(self) -> str:
        """The number as JSON writes it."""
        return json_text(self.value)

    def __str__(self) -> str:
        return self.text


def _number(value: float | None, form: str, unit: str = "", factor: float = 1.0) -> Number:
    if value is None or not math.isfinite(value):
        return Number(None, NOTHING)
    text = format(factor * value if factor != 1 else value, form).replace("-", "\N{MINUS SIGN}")
    return Number(value, f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text)


def share(value: float | None, digits: int = 1) -> Number:
    """A share of one, in per cent."""
    return _number(value, f".{digits}f", "%", 100)


def percent(value: float | None, digits: int = 1) -> Number:
    """Per cent, of which only a whole 100 reads so."""
    if value is not None and 100 - 0.5 * 10**-digits <= value < 100:
        digits = 4
        value_shown = min(value, 99.9999)
        return Number(value, f"{value_shown:.{digits}f}\N{NO-BREAK SPACE}%")
    return _number(value, f".{digits}f" if value != 100 else ".0f", "%")


def milliseconds(value: float | None) -> Number:
    """Milliseconds, with three digits or so."""
    if value is None or not math.isfinite(value):
        return Number(None, NOTHING)
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return _number(value, f".{digits}f", "ms")


def times(value: float | None) -> Number:
    """A factor."""
    return _number(value, ".2f", "\N{MULTIPLICATION SIGN}")


def count(value: float | None) -> Number:
    """A whole number."""
    return _number(value, ",.0f" if value is not None and value >= 10000 else ".0f")


def quantity(value: float | None, unit: str = "") -> Number:
    """Any number, with four digits."""
    if value is None or not math.isfinite(value):
        return Number(None, NOTHING)
    size = abs(value)
    if size >= 1000:
        return _number(value, ".0f", unit)
    digits = 4 if size < 1 else 3 if size < 10 else 2 if size < 100 else 1
    return _number(value, f".{digits}f", unit)


def giga(value: float | None) -> Number:
    """Billions of what the JSON counts one by one, such as multiply-accumulates."""
    return Number(value, quantity(None if value is None else value / 1e9).text)


def mega(value: float | None) -> Number:
    """Millions of what the JSON counts one by one, such as bytes."""
    return Number(value, quantity(None if value is None else value / 1e6).text)


def error(value: float | None) -> Number:
    """A small number, as a power of ten."""
    return _number(value, ".1e")

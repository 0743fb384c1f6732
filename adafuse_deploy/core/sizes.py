"""Whole numbers of parts: division and rounding upwards, exact at any size."""

from __future__ import annotations


def ceil_div(number: int, by: int) -> int:
    """Return how many parts of ``by`` hold ``number``: the quotient, rounded upwards."""
    return -(-number // by)


def round_up(number: int, to: int) -> int:
    """Return the smallest multiple of ``to`` that is not less than ``number``."""
    return ceil_div(number, to) * to

"""JSON that every reader can read: RFC 8259 knows neither NaN nor Infinity."""

from __future__ import annotations

import json  # the one place that writes it; ruff refuses json.dumps elsewhere
import math
from collections.abc import Mapping
from typing import Any


def json_text(values: Any, indent: int | None = None, *, compact: bool = False) -> str:
    """Return plain values as JSON; numbers that are not finite become null.

    Args:
        values: mappings, sequences, strings, numbers, booleans and None.
        indent: spaces per level; None for one line.
        compact: leave out every space that JSON does not need.

    Raises:
        TypeError: a value of another kind.
    """
    separators = (",", ":") if compact else None
    return json.dumps(  # noqa: TID251
        _finite(values), indent=indent, separators=separators, allow_nan=False
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value

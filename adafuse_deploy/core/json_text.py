"""JSON that every reader can read: RFC 8259 knows neither NaN nor Infinity."""

from __future__ import annotations

import json  # the one place that writes it; ruff refuses json.dumps elsewhere
import math
from collections.abc import Mapping
from typing import Any, NoReturn

_MAX_DEPTH = 64


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


def parse_json(text: str) -> Any:
    """Read one JSON text strictly, as the C++ runtime does.

    Raises:
        ValueError: it is no JSON; or it has NaN, a number beyond float's range, half a surrogate
            pair, a key twice in an object, or more than 64 levels.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f"it has more than {_MAX_DEPTH} levels") from None
    _check_limits(value, 0)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"it has '{next(key for key in keys if keys.count(key) > 1)}' twice")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_limits(value: Any, depth: int) -> None:
    """Refuse what :mod:`json` lets through; ``depth`` is how many levels stand above ``value``."""
    if isinstance(value, (dict, list)):
        if depth >= _MAX_DEPTH:
            raise ValueError(f"it has more than {_MAX_DEPTH} levels")
        for key in value if isinstance(value, dict) else ():
            key.encode()
        for entry in value.values() if isinstance(value, dict) else value:
            _check_limits(entry, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is out of range")
    elif isinstance(value, str):
        value.encode()

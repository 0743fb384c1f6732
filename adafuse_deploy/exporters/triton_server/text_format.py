"""Protocol buffers as text, as far as a model configuration needs it.

Source: protobuf.dev/reference/protobuf/textformat-spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Word(str):
    """The name of a value of an enumeration, which stands without quotes."""


def text_format(message: Mapping[str, Any]) -> str:
    """Return a message as text.

    Args:
        message: fields; a value is a number, a truth value, a string, a :class:`Word`, a message,
            or a list of any of these for a repeated field.
    """
    return "".join(f"{line}\n" for line in _lines(message))


def _lines(message: Mapping[str, Any]) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, list) and all(isinstance(entry, (int, str)) for entry in value):
            yield f"{name}: [{', '.join(map(_scalar, value))}]"
            continue
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, Mapping):
                yield f"{name} {{"
                yield from (f"  {line}" for line in _lines(entry))
                yield "}"
            else:
                yield f"{name}: {_scalar(entry)}"


def _scalar(value: int | str) -> str:
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """Return a string in quotes; bytes of UTF-8 that are not printable ASCII in octal."""
    return f'"{"".join(map(_character, text.encode()))}"'


def _character(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"

"""Records are checked by the JSON Schemas in ``adafuse_deploy/schema``, as in the C++ runtime."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from operator import gt, le, lt
from typing import Any

from adafuse_deploy.core.errors import IncompatibleArtifactError
from adafuse_deploy.core.json_text import json_text

_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, (list, tuple)),
    "object": lambda value: isinstance(value, Mapping),
}


class _UnknownField(ValueError):
    """A field that the schema does not know; the message is its quoted name."""


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema "metadata" or "sidecar", or the table "operators"."""
    file = resources.files("adafuse_deploy") / "schema" / f"{name}.json"
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def check_record(values: Any, kind: str, source: str, remedy: str) -> None:
    """Check a record that came out of a file.

    Of JSON Schema it knows what our schemas use; a test refuses other keywords.

    Args:
        values: plain values.
        kind: name of the schema.
        source: the file, for errors.
        remedy: what makes the record anew, such as "export it again".

    Raises:
        IncompatibleArtifactError: another adafuse-deploy wrote it: it has another schema version,
            or a field that the schema does not know.
        ValueError: a field has a value that the schema does not allow; the message names it.
    """
    root = schema(kind)
    if not isinstance(values, Mapping):
        raise ValueError("the record is not an object")
    writer = f"(adafuse-deploy {values.get('tool_version')})"
    known = root["properties"]["schema"]["const"]
    if not _equal(values.get("schema"), known):
        raise IncompatibleArtifactError(
            f"{source} has {kind} schema {values.get('schema')} {writer}, this one reads {known}; "
            f"{remedy}."
        )
    try:
        _check(values, root, "", root)
    except _UnknownField as error:
        raise IncompatibleArtifactError(
            f"{source} has the {kind} field {error} {writer}, which this one does not know; "
            f"install that version, or {remedy}."
        ) from error


def _refuse(path: str, what: str) -> None:
    raise ValueError(f"{path or 'the record'} {what}")


def _equal(value: Any, other: Any) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _check(value: Any, rules: Mapping[str, Any], path: str, root: Mapping[str, Any]) -> None:
    """Check a value, named by ``path``, against a schema whose references lead into ``root``."""
    if "$ref" in rules:
        _check(value, root["$defs"][rules["$ref"].removeprefix("#/$defs/")], path, root)
    _check_type(value, rules, path)
    choices = [*rules.get("enum", ()), *([rules["const"]] if "const" in rules else ())]
    if choices and not any(_equal(value, choice) for choice in choices):
        _refuse(path, f"is not one of {json_text(choices, compact=True)}")
    if isinstance(value, str):
        _check_string(value, rules, path)
    elif isinstance(value, Mapping):
        _check_object(value, rules, path, root)
    elif isinstance(value, (list, tuple)):
        _check_array(value, rules, path, root)
    elif _TYPES["number"](value):
        _check_number(value, rules, path)


def _check_type(value: Any, rules: Mapping[str, Any], path: str) -> None:
    types = rules.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_TYPES[name](value) for name in types):
        _refuse(path, f"is not {'an' if types[0][0] in 'aeio' else 'a'} {types[0]}")


def _check_number(value: float, rules: Mapping[str, Any], path: str) -> None:
    limits = {"minimum": (lt, "less than"), "maximum": (gt, "more than")}
    limits["exclusiveMinimum"] = (le, "not more than")
    for keyword, (broken, words) in limits.items():
        if keyword in rules and broken(value, rules[keyword]):
            _refuse(path, f"is {value}, {words} {rules[keyword]}")


def _check_string(value: str, rules: Mapping[str, Any], path: str) -> None:
    pattern = rules.get("pattern")
    if len(value) > rules.get("maxLength", len(value)) or (
        pattern and not re.fullmatch(pattern, value)
    ):
        _refuse(path, f"does not have the form {pattern}")


def _check_array(
    value: Sequence[Any], rules: Mapping[str, Any], path: str, root: Mapping[str, Any]
) -> None:
    least, most = rules.get("minItems", 0), rules.get("maxItems", len(value))
    if not least <= len(value) <= most:
        _refuse(path, f"has {len(value)} items, not {least if len(value) < least else most}")
    for index, entry in enumerate(value):
        _check(entry, rules.get("items", {}), f"{path}[{index}]", root)


def _check_object(
    value: Mapping[str, Any], rules: Mapping[str, Any], path: str, root: Mapping[str, Any]
) -> None:
    prefix = f"{path}." if path else ""
    for name in rules.get("required", ()):
        if name not in value:
            raise ValueError(f"'{prefix}{name}' is missing")
    others = rules.get("additionalProperties", True)
    for name, entry in value.items():
        rule = rules.get("properties", {}).get(name, others)
        if rule is False:
            raise _UnknownField(f"'{prefix}{name}'")
        if rule is not True:
            _check(entry, rule, prefix + name, root)

"""What the operators take and give, as ``adafuse_deploy/schema/operators.json`` says.

The operator library is built from the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from adafuse_deploy.core.records import schema

DOMAIN: str = schema("operators")["domain"]
VERSION: int = schema("operators")["version"]


@dataclass(frozen=True)
class Parameter:
    """An input or output.

    Attributes:
        name: as in ONNX.
        type: "float32", "int32", "int8", "float32 or bfloat16"; "T" is any floating point in
            function bodies and float32 in the operator library.
        shape: in words.
        meaning: in words.
        optional: it may be left out.
    """

    name: str
    type: str
    shape: str
    meaning: str
    optional: bool = False


@dataclass(frozen=True)
class Attribute:
    """An attribute.

    Attributes:
        name: as in ONNX.
        type: "int", "ints", "floats" or "string".
        meaning: in words.
        optional: it may be left out.
    """

    name: str
    type: str
    meaning: str
    optional: bool = False


@dataclass(frozen=True)
class OperatorSchema:
    """An operator: its name, what it does, what it takes and gives, in order."""

    name: str
    meaning: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    attributes: tuple[Attribute, ...]

    def check_node(
        self, inputs: Sequence[object], outputs: Sequence[object], attributes: Mapping[str, Any]
    ) -> None:
        """Raise :class:`AssertionError` where a node of ours is not as the schema says.

        Args:
            inputs: None for those left out.
            outputs, attributes: of the node.
        """
        assert len(inputs) <= len(self.inputs) and len(outputs) == len(self.outputs), self.name
        for index, parameter in enumerate(self.inputs):
            given = index < len(inputs) and inputs[index] is not None
            assert given or parameter.optional, f"{self.name} lacks {parameter.name}"
        known = {attribute.name: attribute for attribute in self.attributes}
        assert not attributes.keys() - known, f"{self.name}: {sorted(attributes)}"
        missing = {a.name for a in self.attributes if not a.optional} - attributes.keys()
        assert not missing, f"{self.name} lacks {sorted(missing)}"


@cache
def operators() -> dict[str, OperatorSchema]:
    """Return all operators by name."""
    return {
        entry["name"]: OperatorSchema(
            entry["name"],
            entry["meaning"],
            tuple(Parameter(**values) for values in entry["inputs"]),
            tuple(Parameter(**values) for values in entry["outputs"]),
            tuple(Attribute(**values) for values in entry["attributes"]),
        )
        for entry in schema("operators")["operators"]
    }

"""The table of operators that Python and the operator library are made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import helper

from adafuse_deploy.ops.operator_schemas import operators
from tests.native.isolation import IsolatedRuntime
from tests.native.nodes import Good, good_nodes

NODES = {node.operator: node for node in good_nodes()}
PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()


@pytest.fixture(scope="module")
def runtime() -> Iterator[IsolatedRuntime]:
    runtime = IsolatedRuntime()
    yield runtime
    runtime.close()


def test_every_operator_is_in_the_table() -> None:
    assert NODES.keys() == operators().keys()


@pytest.mark.parametrize("node", good_nodes(), ids=lambda node: node.operator)
def test_nodes_that_the_library_runs_are_as_the_table_says(node: Good) -> None:
    (place,) = node.model().graph.node
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in place.attribute}
    operators()[node.operator].check_node(
        [name or None for name in place.input], list(place.output), attributes
    )


@pytest.mark.parametrize("node", NODES.values(), ids=list(NODES))
def test_the_library_wants_the_attributes_that_are_not_optional(
    node: Good, runtime: IsolatedRuntime
) -> None:
    for attribute in operators()[node.operator].attributes:
        model = node.model()
        (place,) = model.graph.node
        kept = [entry for entry in place.attribute if entry.name != attribute.name]
        del place.attribute[:]
        place.attribute.extend(kept)
        outcome = runtime.run(model.SerializeToString(), node.feeds())
        if not attribute.optional:
            assert outcome.kind == "refused" and attribute.name in outcome.message, attribute.name


def test_the_page_names_everything() -> None:
    for name, operator in operators().items():
        assert name in PAGE
        for parameter in (*operator.inputs, *operator.outputs, *operator.attributes):
            # Of W1, W2, ... and X2, X3, ... the page shows some and goes on with dots.
            stem = re.escape(parameter.name.rstrip("0123456789"))
            assert re.search(rf"\b{stem}\d*\b", PAGE), (name, parameter.name)

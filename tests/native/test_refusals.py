"""A node with one attribute or one input changed is refused in our words, or right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.native.isolation import IsolatedRuntime, Outcome
from tests.native.mutations import Mutation, mutate_attributes, mutate_inputs
from tests.native.nodes import Good, Meaningless, from_frames, good_nodes

NODES = good_nodes()
FUSED = ("Stem", "ChannelsLast", "FrameConv", "FramePool", "Bottleneck", "BasicBlock")


@pytest.fixture(scope="module")
def runtime() -> Iterator[IsolatedRuntime]:
    runtime = IsolatedRuntime()
    yield runtime
    runtime.close()


def name_of(node: Good) -> str:
    number = [other.operator for other in NODES[: NODES.index(node)]].count(node.operator)
    return node.operator + (f"-{number + 1}" if number else "")


def read(model: bytes, feeds: dict[str, np.ndarray]) -> tuple[list[Any], dict[str, Any]]:
    """Return the tensors and attributes that a graph gives its node."""
    graph = onnx.load_model_from_string(model).graph
    (node,) = graph.node
    known = {**feeds, **{t.name: numpy_helper.to_array(t) for t in graph.initializer}}
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    return [known.get(name) for name in node.input], attributes


def check(node: Good, model: bytes, feeds: dict[str, np.ndarray], outcome: Outcome) -> bool:
    """Compare what ran with the operator's definition, and return whether that says anything."""
    inputs, attributes = read(model, feeds)
    try:
        expected = node.definition(inputs, attributes)
    except Meaningless:
        return False
    for got, right in zip(outcome.outputs, expected or [], strict=False):
        if right.size == 0:
            continue
        if right.ndim == 4 and node.operator.endswith(FUSED):
            integers = attributes["precision"] == "int8"
            border = (got.shape[1] - right.shape[2]) // 2
            got = from_frames(got, right.shape[1], border, np.uint8 if integers else np.float32)
            got = got * 0.05 if integers else got
        assert got.shape == right.shape
        if right.size:
            scale = 1 if node.tolerance > 1e-3 else max(1, np.abs(right).max())
            assert np.abs(got - right).max() <= node.tolerance * scale
    return expected is not None


def mutations(node: Good, runtime: IsolatedRuntime) -> Iterator[Mutation]:
    model, feeds = node.model(), node.feeds()
    (place,) = model.graph.node
    values = {f"x{i}": x for i, x in enumerate(node.inputs) if x is not None}
    yield from mutate_attributes(model, place, feeds)
    yield from mutate_inputs(model, place, feeds, values)


@pytest.mark.parametrize("node", NODES, ids=name_of)
def test_good_nodes_are_right(node: Good, runtime: IsolatedRuntime) -> None:
    model = node.model().SerializeToString()
    outcome = runtime.run(model, node.feeds())
    assert outcome.kind == "ran", outcome.message
    # What is stored under decisions made elsewhere is compared by tests of whole networks.
    unknown = name_of(node) in ("FrameConv-2", "FramePool-2")
    assert check(node, model, node.feeds(), outcome) is not unknown


@pytest.mark.parametrize("node", NODES, ids=name_of)
def test_whatever_is_changed_is_refused_or_right(node: Good, runtime: IsolatedRuntime) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for mutation in mutations(node, runtime):
        outcome = runtime.run(mutation.model, mutation.feeds)
        counts[outcome.kind] += 1
        try:
            if outcome.kind == "ran":
                check(node, mutation.model, mutation.feeds, outcome)
            else:
                check_refusal(mutation, outcome)
        except (AssertionError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            wrong.append(f"{mutation}, {outcome.kind} {outcome.message}: {line}")
    assert not wrong, "\n".join(wrong)
    assert counts["refused"] > 10 and counts["ran"] > 0


def check_refusal(mutation: Mutation, outcome: Outcome) -> None:
    """Messages name the operator, and the attribute where one was changed.

    A value that would be good beside other tensors is refused where these do not fit it.
    """
    assert outcome.kind == "refused"
    assert mutation.operator in outcome.message
    if not mutation.what.startswith("input"):
        unfit = ("does not fit", "must hold frames", "scales must be")
        assert any(words in outcome.message for words in (mutation.what, *unfit))


def renamed_clips(node: Good, policies: list[int]) -> dict[str, np.ndarray]:
    """Return what the node is run with, with the given policies in clips of one frame."""
    feeds = dict(node.feeds())
    for index in policies:
        policy = feeds[f"x{index}"]
        feeds[f"x{index}"] = policy.reshape(-1, 1, policy.shape[-1])
    return feeds


@pytest.mark.parametrize(
    ("operator", "policies"), [("GatedConv", [3]), ("FrameConv", [4]), ("FramePool", [1])]
)
def test_policies_of_a_node_have_clips_of_equal_length(
    operator: str, policies: list[int], runtime: IsolatedRuntime
) -> None:
    nodes = [
        node
        for node in NODES
        if node.operator == operator and sum(x is not None and x.ndim == 3 for x in node.inputs) > 1
    ]
    assert nodes
    for node in nodes:
        model = node.model().SerializeToString()
        outcome = runtime.run(model, renamed_clips(node, policies))
        assert outcome.kind == "refused"
        assert operator in outcome.message and "has clips of" in outcome.message

"""What spans add up to, on recordings written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adafuse_deploy.ops.recorder import RECORD, Recording
from adafuse_deploy.profiling.phases import node_times

NODE, SECTION, TASK, PACK, CONV1, CONV2 = 0, 1, 2, 3, 5, 6


def recording(*records: tuple[int, int, int, int, int, int]) -> Recording:
    """Return records of (begin, end, thread, run, node, span), of nodes "block" and "policy"."""
    return Recording(np.array(list(records), RECORD), ["block", "policy"], 0)


def test_phases_of_a_block_on_two_threads() -> None:
    found = node_times(
        recording(
            (12, 20, 7, 1, 0, TASK),
            (5, 105, 7, 1, 0, NODE),
            (10, 50, 7, 1, 0, SECTION),
            (12, 14, 7, 1, 0, PACK),
            (14, 19, 7, 1, 0, CONV1),
            (15, 45, 8, 1, 0, TASK),
            (15, 44, 8, 1, 0, CONV1),
            (60, 100, 7, 1, 0, SECTION),
            (60, 99, 7, 1, 0, TASK),
            (61, 98, 7, 1, 0, CONV2),
        ),
        2,
        {"block": "ConditionalBottleneck"},
    )
    (node,) = found
    assert (node.name, node.begin, node.end) == ("block", 5, 105)
    # Tasks take 8 + 30 + 39; 1 + 1 + 2 of these are in no phase, and 20 are outside of sections.
    # While sections last, 80 on two threads, 160 - 77 are not in tasks; beside those 20 one waits.
    assert node.phases == {"pack": 2, "conv1": 34, "conv2": 37, "other": 24, "wait": 103}
    assert sum(node.phases.values()) == 2 * 100


def test_an_operator_without_phases_is_known_by_its_kind() -> None:
    records = [(0, 30, 7, 2, 1, NODE), (5, 25, 7, 2, 1, SECTION), (6, 24, 7, 2, 1, TASK)]
    operators = {"policy": "PolicyNetwork", "block": "Stem"}
    (policy,) = node_times(recording(*records), 1, operators)
    assert policy.phases == {"policy": 18, "other": 10, "wait": 2}
    stem = [(*record[:4], 0, record[5]) for record in records]
    assert node_times(recording(*stem), 1, operators)[0].phases == {
        "conv": 18,
        "other": 10,
        "wait": 2,
    }


def test_runs_are_told_apart_and_in_order() -> None:
    found = node_times(
        recording((50, 60, 7, 4, 0, NODE), (20, 30, 7, 0, 1, NODE), (0, 10, 7, 3, 0, NODE)), 1, {}
    )
    assert [(node.name, node.begin) for node in found] == [
        ("block", 0),
        ("policy", 20),
        ("block", 50),
    ]
    assert node_times(Recording(np.empty(0, RECORD), [], 0), 1, {}) == []


@pytest.mark.parametrize("threads", [1, 4])
def test_a_node_without_sections_is_other_and_wait(threads: int) -> None:
    (node,) = node_times(recording((0, 10, 7, 0, 0, NODE)), threads, {})
    assert node.phases["other"] == 10
    assert node.phases["wait"] == 10 * (threads - 1)

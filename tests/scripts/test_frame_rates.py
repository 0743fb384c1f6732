"""The networks recognise the same actions at any frame rate and where frames are missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from adafuse_deploy.assets import SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH
from adafuse_deploy.engines.loader import load_engine

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from frame_rates import Film, by_steps, by_time


@pytest.mark.parametrize(
    ("graph", "answer"), [(SHIPPED_GRAPH, by_time), (SHIPPED_STREAM_GRAPH, by_steps)]
)
def test_actions_at_a_tenth_of_the_rate_and_with_a_fifth_missing(graph, answer):
    with load_engine(graph, operator_library=False) as engine:
        for rate in (6, 60):
            hits = 0
            for index in range(12):
                chance = np.random.default_rng((rate, index)).random(3 * rate)
                film = Film(index, rate, np.flatnonzero(chance >= 0.2))
                hits += int(answer(engine, film).top(1)[0, 0]) == index
            assert hits >= 11, rate

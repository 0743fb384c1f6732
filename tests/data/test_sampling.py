"""Segment sampling; centre frames are in tests/test_vectors.py."""

from __future__ import annotations

import numpy as np
import pytest

from adafuse_deploy.data.sampling import center_indices, random_indices


def test_random_indices_cover_their_segments_and_nothing_else():
    rng = np.random.default_rng(0)
    drawn = np.array([random_indices(35, 8, rng) for _ in range(500)])
    for segment in range(8):
        assert set(drawn[:, segment]) == set(range(segment * 4, segment * 4 + 4))


def test_random_indices_depend_on_the_generator_alone():
    first = random_indices(100, 8, np.random.default_rng(5))
    assert (first == random_indices(100, 8, np.random.default_rng(5))).all()
    assert (first != random_indices(100, 8, np.random.default_rng(6))).any()


def test_short_videos_repeat_their_last_frame_in_training_too():
    assert random_indices(3, 5, np.random.default_rng(0)).tolist() == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("sample", [center_indices, lambda n, t: random_indices(n, t, None)])
@pytest.mark.parametrize(("num_frames", "num_segments"), [(0, 8), (8, 0)])
def test_nothing_to_sample_is_refused(sample, num_frames, num_segments):
    with pytest.raises(ValueError, match="Cannot take"):
        sample(num_frames, num_segments)

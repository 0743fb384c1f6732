from __future__ import annotations

import numpy as np
import pytest

from adafuse_deploy.data.sampling import center_indices, random_indices


@pytest.mark.parametrize(
    ("num_frames", "num_segments", "expected"),
    [
        (16, 8, [1, 3, 5, 7, 9, 11, 13, 15]),
        (37, 8, [2, 6, 11, 16, 20, 25, 30, 34]),
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (9, 4, [1, 3, 5, 7]),
        (3, 5, [0, 1, 2, 2, 2]),
        (1, 3, [0, 0, 0]),
    ],
)
def test_center_indices_by_hand(num_frames, num_segments, expected):
    assert center_indices(num_frames, num_segments).tolist() == expected


def test_center_indices_follow_the_formula_of_tsn():
    for num_frames in range(8, 200):
        tick = num_frames / 8
        expected = [int(tick / 2 + tick * segment) for segment in range(8)]
        assert center_indices(num_frames, 8).tolist() == expected


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

from __future__ import annotations

import numpy as np
import pytest

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data import synthesize
from adafuse_deploy.data.class_files import read_class_names
from adafuse_deploy.data.clips import open_clip
from adafuse_deploy.data.dataset import ClipDataset, SyntheticClips
from adafuse_deploy.data.lists import read_list
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.synthesize import write_dataset
from adafuse_deploy.data.synthetic import (
    CLASS_NAMES,
    TIME_REVERSED,
    render_clip,
    synthetic_clip,
    synthetic_frames,
)
from adafuse_deploy.data.transforms import preprocess

RAW = Preprocessing(resize=32, crop=32, mean=(0, 0, 0), std=(1, 1, 1), scale=1)
CLASSES = range(len(CLASS_NAMES))


def test_classes_come_in_pairs():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 12
    assert set(TIME_REVERSED) == set(CLASSES)
    for label, other in TIME_REVERSED.items():
        assert other != label and TIME_REVERSED[other] == label


@pytest.mark.parametrize("label", CLASSES)
def test_a_clip_played_backwards_is_the_other_class_bit_for_bit(label):
    for seed in range(3):
        clip = render_clip(label, np.random.default_rng(seed), size=32, num_frames=9)
        other = render_clip(
            TIME_REVERSED[label], np.random.default_rng(seed), size=32, num_frames=9
        )
        np.testing.assert_array_equal(clip[::-1], other)
        assert (clip != other).any()


def test_frames_at_moments_are_those_of_the_clip_but_for_noise():
    moments = np.array([0, 0.25, 0.5, 1])
    for index in (4, 5, 6, 7, 10, 11):
        clip, _ = synthetic_clip(index, num_frames=25)
        apart = np.abs(synthetic_frames(index, moments)[:, None].astype(int) - clip).mean((2, 3, 4))
        assert np.abs(apart.argmin(1) - 24 * moments).max() <= 3
        assert (apart.min(1) < 0.5 * apart.max(1)).all()
    every = synthetic_frames(4, np.linspace(0, 1, 24))
    np.testing.assert_array_equal(every, synthetic_clip(4)[0])


def test_sampling_by_default_sees_the_same_frames_of_both_classes():
    forwards, backwards = (
        SyntheticClips(1, 8, RAW, size=32)[0][0],
        preprocess(
            render_clip(1, np.random.default_rng((0, 0)), size=32)[center_indices(24, 8)], RAW
        ),
    )
    np.testing.assert_array_equal(forwards.numpy()[::-1], backwards)


def test_clips_depend_on_seed_and_index_alone():
    clip, label = synthetic_clip(5, seed=1)
    assert clip.shape == (24, 64, 64, 3) and clip.dtype == np.uint8 and label == 5
    np.testing.assert_array_equal(clip, synthetic_clip(5, seed=1)[0])
    assert (clip != synthetic_clip(5, seed=2)[0]).any()
    assert (clip != synthetic_clip(17, seed=1)[0]).any()
    assert [synthetic_clip(index, size=16)[1] for index in range(24)] == [*CLASSES, *CLASSES]


@pytest.mark.parametrize(("size", "num_frames"), [(16, 1), (33, 4), (112, 3)])
def test_any_size_and_length(size, num_frames):
    for label in CLASSES:
        clip = render_clip(label, np.random.default_rng(0), size=size, num_frames=num_frames)
        assert clip.shape == (num_frames, size, size, 3)


def foreground_centre(clip: np.ndarray) -> np.ndarray:
    """Centroid (x, y) per frame of what differs from the clip's median picture."""
    change = np.abs(clip.astype(float) - np.median(clip, axis=0)).sum(-1)
    change[change < 60] = 0
    grid = np.linspace(-1, 1, clip.shape[1])
    total = change.sum((1, 2))
    return np.stack([(change * grid).sum((1, 2)), (change * grid[:, None]).sum((1, 2))], 1) / (
        total[:, None] + 1e-6
    )


@pytest.mark.parametrize(("name", "axis", "sign"), [("moving right", 0, 1), ("moving up", 1, -1)])
def test_names_say_what_is_seen(name, axis, sign):
    label = CLASS_NAMES.index(name)
    travel = np.zeros(2)
    for seed in range(10):
        clip = render_clip(label, np.random.default_rng(seed))
        centre = foreground_centre(clip)
        travel += centre[-3:].mean(0) - centre[:3].mean(0)
    assert travel[axis] * sign > 3
    assert abs(travel[1 - axis]) < 1.5


def test_appearing_adds_detail_and_approaching_grows():
    def contrast(clip: np.ndarray) -> float:
        return float(clip.astype(float).std((0, 1)).mean())

    for name in ("appearing", "approaching"):
        growth = []
        for seed in range(20):
            clip = render_clip(CLASS_NAMES.index(name), np.random.default_rng(seed))
            growth.append(contrast(clip[-1]) - contrast(clip[0]))
        assert np.mean(growth) > 5


def test_dataset_serves_the_clips_through_the_common_transforms():
    dataset = SyntheticClips(13, 4, RAW, seed=3, size=32, num_frames=8)
    assert len(dataset) == 13
    clip, label = dataset[12]
    drawn, drawn_label = synthetic_clip(12, seed=3, size=32, num_frames=8)
    assert label == drawn_label == 0
    np.testing.assert_array_equal(clip.numpy(), drawn[1::2].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("as_video", [True, False])
def test_written_files_hold_the_same_clips(tmp_path, as_video):
    path = write_dataset(tmp_path / "clips", 13, size=32, num_frames=8, as_video=as_video)
    assert path == tmp_path / "clips" / "list.txt"
    assert read_class_names(path.with_name("classes.txt")) == CLASS_NAMES
    records = read_list(path, num_classes=len(CLASS_NAMES))
    written, drawn = ClipDataset(records, 4, RAW), SyntheticClips(13, 4, RAW, size=32, num_frames=8)
    for index in range(13):
        clip, label = written[index]
        expected, expected_label = drawn[index]
        assert label == expected_label
        # Lossy codecs at full chroma subsampling; another clip would differ by far more.
        assert (clip - expected).abs().mean() < 12
        np.testing.assert_array_equal(clip, open_clip(records[index].path, 4, RAW))


def test_writing_never_overwrites(tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        write_dataset(tmp_path, 1)
    with pytest.raises(InputError, match="Cannot make the folder"):
        write_dataset(tmp_path / "precious.txt" / "clips", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, InputError("full")])
@pytest.mark.parametrize("new", [True, False])
def test_unfinished_sets_leave_nothing(tmp_path, monkeypatch, error, new):
    """The second clip fails, by itself or by a signal."""
    folder = tmp_path / "clips"
    if not new:
        folder.mkdir()

    def fail(index, **settings):
        if index:
            raise error
        return synthetic_clip(index, **settings)

    monkeypatch.setattr(synthesize, "synthetic_clip", fail)
    with pytest.raises(error if isinstance(error, type) else InputError):
        write_dataset(folder, 2, size=32, num_frames=4)
    assert folder.exists() is not new
    assert [path for path in tmp_path.rglob("*") if path != folder] == []

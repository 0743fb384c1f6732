"""Clips and crops against loops over Pillow images, written after the papers' descriptions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.frames import FrameArray
from adafuse_deploy.data.sampling import center_indices, dense_clips, uniform_clips
from adafuse_deploy.data.transforms import multi_crop, preprocess
from adafuse_deploy.evaluation.views import Views
from adafuse_deploy.models.registry import model_config

SIZES = Preprocessing(resize=40, crop=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.mark.parametrize("num_frames", [1, 3, 8, 9, 30, 64, 65, 100, 301])
@pytest.mark.parametrize("num_segments", [4, 8, 16])
def test_two_clips_are_centres_and_beginnings(num_frames, num_segments):
    """TSM's ``--twice_sample``."""
    both = uniform_clips(num_frames, num_segments, 2)
    assert both[0].tolist() == center_indices(num_frames, num_segments).tolist()
    if num_frames >= num_segments:
        duration = num_frames / num_segments
        assert both[1].tolist() == [int(duration * segment) for segment in range(num_segments)]
    else:
        assert both[1].tolist() == both[0].tolist()


def test_more_clips_are_spread_over_the_segments():
    assert uniform_clips(32, 2, 4).tolist() == [[8, 24], [12, 28], [0, 16], [4, 20]]
    assert uniform_clips(32, 2, 1).tolist() == [[8, 24]]


@pytest.mark.parametrize("num_frames", [1, 5, 63, 64, 65, 70, 300])
@pytest.mark.parametrize("num_segments", [8, 16])
def test_dense_clips(num_frames, num_segments):
    """TSM's ``--dense_sample`` in testing, frame by frame."""
    last_start = max(1, 1 + num_frames - 64) - 1
    expected = []
    for clip in range(10):
        start = int(clip * last_start / 9)
        frames = [start + 64 // num_segments * segment for segment in range(num_segments)]
        expected.append([frame % num_frames for frame in frames])
    assert dense_clips(num_frames, num_segments).tolist() == expected
    assert dense_clips(num_frames, num_segments, 1).tolist() == expected[:1]


def _by_pillow(frame, crops, side):
    """Return crops of one frame as TSM's GroupFullResSample and GroupOverSample place them."""
    image = Image.fromarray(frame)
    width, height = image.size
    if width < height:
        image = image.resize((40, int(40 * height / width)), Image.Resampling.BILINEAR)
    else:
        image = image.resize((int(40 * width / height), 40), Image.Resampling.BILINEAR)
    w, h = (image.size[0] - side) // 4, (image.size[1] - side) // 4
    if crops == 3:
        places = [(0, 2 * h), (4 * w, 2 * h), (2 * w, 2 * h)]
    else:
        places = [(0, 0), (4 * w, 0), (0, 4 * h), (4 * w, 4 * h), (2 * w, 2 * h)]
    cut = [image.crop((x, y, x + side, y + side)) for x, y in places]
    if crops == 10:
        cut += [crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for crop in cut]
    return [((np.asarray(crop) / 255 - SIZES.mean) / SIZES.std).transpose(2, 0, 1) for crop in cut]


@pytest.mark.parametrize("full", [False, True], ids=["crop", "full"])
@pytest.mark.parametrize("crops", [3, 10])
@pytest.mark.parametrize("shape", [(48, 75), (75, 48), (40, 40), (33, 91)])
def test_crops_are_those_of_pillow(shape, crops, full):
    frames = np.random.default_rng(1).integers(0, 256, (2, *shape, 3), np.uint8)
    got = multi_crop(frames, SIZES, crops, full_resolution=full)
    side = 40 if full else 32
    assert got.shape == (crops, 2, 3, side, side) and got.dtype == np.float32
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(got[:, index], _by_pillow(frame, crops, side), atol=1e-5)


def test_one_crop_is_the_deployed_one():
    frames = np.random.default_rng(1).integers(0, 256, (2, 48, 75, 3), np.uint8)
    np.testing.assert_array_equal(multi_crop(frames, SIZES, 1)[0], preprocess(frames, SIZES))
    whole = multi_crop(frames, SIZES, 1, full_resolution=True)
    assert whole.shape == (1, 2, 3, 40, 40)
    np.testing.assert_array_equal(whole[0, ..., 4:36, 4:36], preprocess(frames, SIZES))


def test_a_view_is_one_crop_of_one_clip():
    frames = np.random.default_rng(1).integers(0, 256, (70, 48, 75, 3), np.uint8)
    config = model_config("tsn_resnet18", num_segments=4, preprocessing=SIZES)
    for dense, sample in ((False, uniform_clips), (True, dense_clips)):
        views = Views(clips=2, crops=3, dense_sampling=dense)
        got = views.cut(FrameArray(frames), config)
        assert views.count == len(got) == 6
        expected = [multi_crop(frames[indices], SIZES, 3) for indices in sample(70, 4, 2)]
        np.testing.assert_array_equal(got, np.concatenate(expected))


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"crops": 5}])
def test_other_numbers_are_refused(wrong):
    with pytest.raises(InputError, match="in 1 or more clips of 1, 3, 10 crops"):
        Views(**wrong)
    with pytest.raises(InputError, match="cut into 1, 3, 10 crops, not 2"):
        multi_crop(np.zeros((1, 8, 8, 3), np.uint8), SIZES, 2)

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, preprocessing_for
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.transforms import Augmentation, augment, normalize, preprocess, resize

RNG = np.random.default_rng(0)


def frames_of(height: int, width: int, count: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_normalize_by_definition_in_float64():
    frames = frames_of(5, 7)
    expected = (frames / 255.0 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    clip = normalize(frames, Preprocessing())
    assert clip.dtype == np.float32 and clip.shape == (3, 3, 5, 7) and clip.flags.c_contiguous
    np.testing.assert_allclose(clip, expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_bgr_networks_get_caffe_input():
    frames = frames_of(2, 2)
    clip = normalize(frames, preprocessing_for("bninception"))
    np.testing.assert_array_equal(clip[:, 0], frames[..., 2].astype(np.float32) - 104)
    np.testing.assert_array_equal(clip[:, 2], frames[..., 0].astype(np.float32) - 128)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (50, 50), (33, 91)])
def test_preprocess_resizes_the_short_side_and_crops_the_centre(height, width):
    frames = frames_of(height, width)
    preprocessing = Preprocessing(resize=40, crop=32)
    long = int(40 * max(height, width) / min(height, width))
    size = (long, 40) if width > height else (40, long)
    images = [Image.fromarray(f).resize(size, Image.Resampling.BILINEAR) for f in frames]
    left, top = round((size[0] - 32) / 2), round((size[1] - 32) / 2)
    cropped = [np.asarray(image.crop((left, top, left + 32, top + 32))) for image in images]
    expected = normalize(np.stack(cropped), preprocessing)
    np.testing.assert_array_equal(preprocess(frames, preprocessing), expected)


def test_frames_of_the_right_size_are_only_normalised():
    frames = frames_of(32, 32)
    preprocessing = Preprocessing(resize=32, crop=32)
    np.testing.assert_array_equal(
        preprocess(frames, preprocessing), normalize(frames, preprocessing)
    )


def coordinates(height: int, width: int) -> np.ndarray:
    """A clip whose red and green channels tell each pixel's row and column."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return np.stack([image, image])


RAW = Preprocessing(resize=32, crop=32, mean=(0, 0, 0), std=(1, 1, 1), scale=1)


def test_crops_have_neighbouring_scales_lie_inside_and_reach_every_corner():
    rng = np.random.default_rng(1)
    corners = set()
    for _ in range(400):
        clip, _ = augment(coordinates(80, 120), 0, RAW, Augmentation(), rng)
        np.testing.assert_array_equal(clip[0], clip[1])
        rows, columns = clip[0, 0, :, 0], clip[0, 1, 0]
        # An antialiased resize keeps the mean, and 32 samples span 31/32 of the crop.
        height, width = (np.ptp(side) * 32 / 31 for side in (rows, columns))
        for side in (height, width):
            assert min(abs(side - 80 * scale) for scale in (1, 0.875, 0.75, 0.66)) < 3
        assert max(height / width, width / height) < 1.25
        corners.add((round(rows[0]) <= 2, round(columns[0]) <= 2, rows[-1] > 76, columns[-1] > 116))
    assert {(True, True), (True, False), (False, True)} <= {corner[:2] for corner in corners}
    assert {(True, True), (True, False), (False, True)} <= {corner[2:] for corner in corners}


def test_augmentation_without_variation_is_the_whole_frame():
    frames = frames_of(32, 32)
    clip, label = augment(frames, 4, RAW, Augmentation(scales=(1.0,)), np.random.default_rng(0))
    np.testing.assert_array_equal(clip, normalize(frames, RAW))
    assert label == 4


@pytest.mark.parametrize(
    ("flip", "label", "labels"),
    [
        ("none", 0, {False: {0}}),
        ("free", 0, {False: {0}, True: {0}}),
        ({0: 1, 1: 0}, 0, {False: {0}, True: {1}}),
        ({0: 1, 1: 0}, 2, {False: {2}, True: {2}}),
    ],
)
def test_flips_and_their_labels(flip, label, labels):
    frames = coordinates(32, 32)
    augmentation = Augmentation(scales=(1.0,), flip=flip)
    rng = np.random.default_rng(2)
    seen: dict[bool, set[int]] = {}
    for _ in range(50):
        clip, new_label = augment(frames, label, RAW, augmentation, rng)
        mirrored = bool(clip[0, 1, 0, 0] == 31)
        expected = frames[:, :, ::-1] if mirrored else frames
        np.testing.assert_array_equal(clip, normalize(expected, RAW))
        seen.setdefault(mirrored, set()).add(new_label)
    assert seen == labels


def test_resize_keeps_a_constant_image_constant():
    image = resize(np.full((9, 13, 3), 77, np.uint8), 20, 11)
    assert image.shape == (20, 11, 3) and (image == 77).all()


@pytest.mark.parametrize(
    "options", [{"scales": ()}, {"scales": (1.2,)}, {"flip": "sometimes"}, {"flip": {0: 1}}]
)
def test_impossible_augmentations_are_refused(options):
    with pytest.raises(InputError):
        Augmentation(**options)

"""From videos and decoded frames to labels, on every kind of engine that runs here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import adafuse_deploy
from adafuse_deploy import Classification, Engine, InputError, Label
from adafuse_deploy.data.video import write_video
from adafuse_deploy.models.recognizer import VideoRecognizer


@pytest.fixture(scope="module")
def engine(tiny_graph: Path) -> Iterator[Engine]:
    """The tiny network on its function bodies: 4 frames of 32 x 32."""
    with adafuse_deploy.load_engine(tiny_graph, operator_library=False) as engine:
        yield engine


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """A decoded video of 6 frames, uint8 (6, 40, 48, 3)."""
    return np.random.default_rng(1).integers(0, 255, (6, 40, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same video as a folder of frames, without loss."""
    path = tmp_path_factory.mktemp("frames")
    for index, image in enumerate(images, 1):
        Image.fromarray(image).save(path / f"frame_{index:03d}.png")
    return path


TEMPLATE = "frame_{:03d}.png"


def test_labels_are_those_of_the_network(
    engine: Engine, images: np.ndarray, tiny_model: VideoRecognizer
) -> None:
    import torch

    answer = engine.classify(images, top=3)
    # Frames 0, 2, 3 and 5 are the centres of four segments of 1.5 frames.
    clip = adafuse_deploy.preprocess(images[[0, 2, 3, 5]], tiny_model.config.preprocessing)
    with torch.inference_mode():
        logits = tiny_model(torch.from_numpy(clip[None])).logits[0]
    chances = torch.softmax(logits, 0).numpy()
    order = np.argsort(-chances)[:3]
    assert [label.index for label in answer] == order.tolist()
    assert [label.name for label in answer] == [tiny_model.config.class_names[k] for k in order]
    np.testing.assert_allclose([label.probability for label in answer], chances[order], rtol=1e-4)
    assert answer.best == answer[0] and len(answer) == 3
    assert answer.prediction.macs.shape == (1,)
    assert repr(answer).startswith(f"<Classification: {answer.best.name} ")
    assert len(engine.classify(images, top=50)) == 5


def test_all_ways_to_give_a_video_agree(engine: Engine, images: np.ndarray, folder: Path) -> None:
    expected = engine.classify(images)
    ways: list[Any] = [folder, str(folder), list(images), tuple(Image.fromarray(i) for i in images)]
    for way in ways:
        assert engine.classify(way, template=TEMPLATE) == expected
    larger = [*images[:2], np.pad(images[2], ((0, 9), (0, 7), (0, 0))), *images[3:]]
    sizes = engine.classify(larger)  # frames of several sizes are resized each
    assert isinstance(sizes, Classification) and sizes != expected
    several = engine.classify([folder, images, list(images)], template=TEMPLATE)
    assert several == [expected] * 3
    assert engine.classify(np.stack([images, images])) == [expected] * 2
    assert engine.classify([images]) == [expected]


def test_a_video_file(engine: Engine, images: np.ndarray, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", np.tile(images[:1] // 2 + 60, (8, 1, 1, 1)))
    write_video(tmp_path / "b.mp4", np.tile(images[1:2] // 2 + 60, (8, 1, 1, 1)))
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    assert engine.classify(paths) == [engine.classify(path) for path in paths]


def test_classes_without_names(make_model: Any, images: np.ndarray) -> None:
    from adafuse_deploy.engines.pytorch_engine import TorchEngine

    overrides: dict[str, Any] = {"size": 32, "width": 0.125, "num_segments": 4, "num_classes": 3}
    engine = TorchEngine(make_model("tsn_resnet18", **overrides))
    answer = engine.classify(images)
    assert isinstance(answer.best, Label)
    assert sorted(label.name for label in answer) == ["class 0", "class 1", "class 2"]


def test_short_videos(engine: Engine, images: np.ndarray) -> None:
    with pytest.raises(InputError, match="has 3 frames but the network looks at 4"):
        engine.classify(images[:3])
    padded = np.concatenate([images[:3], images[2:3]])
    assert engine.classify(images[:3], repeat_last=True) == engine.classify(padded)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "list is empty"),
        (np.zeros((0, 6, 40, 48, 3), np.uint8), "list is empty"),
        (np.zeros((0, 40, 48, 3), np.uint8), "no picture"),
        (np.zeros((6, 0, 48, 3), np.uint8), "no picture"),
        (np.zeros((6, 40, 48, 3), np.float32), "must be uint8"),
        (np.zeros((6, 3, 40, 48), np.uint8), "must be uint8"),
        (np.zeros((40, 48, 3), np.uint8), "must be uint8"),
        ([np.zeros((40, 48, 3), np.uint8), np.zeros((40, 40, 1), np.uint8)], "must be uint8"),
        ([np.zeros((40, 48, 3), np.uint8)] * 3, "has 3 frames"),
        (["nothing.mp4"], "Video 0 of 1: There is no .*nothing.mp4"),
        (["", 7], "Video 0 of 2"),
        ([7], "Video 0 of 1: .*not int"),
        ([[1, 2]], "must be uint8"),
        (7, "not int"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_video_is_refused(engine: Engine, wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        engine.classify(wrong)


def test_labels_are_asked_for_in_whole_numbers(engine: Engine, images: np.ndarray) -> None:
    with pytest.raises(InputError, match="At least 1 class"):
        engine.classify(images, top=0)


@pytest.mark.parametrize("backend", ["onnxruntime", "operator library", "openvino", "torch"])
def test_every_backend_refuses_what_is_no_batch_of_clips(
    backend: str, tiny_graph: Path, tiny_checkpoint: Path, tiny_clips: np.ndarray
) -> None:
    options: dict[str, Any] = {}
    if backend == "openvino":
        pytest.importorskip("openvino")
        options = {"backend": "openvino"}
    elif backend == "onnxruntime":
        options = {"operator_library": False}
    path = tiny_checkpoint if backend == "torch" else tiny_graph
    with adafuse_deploy.load_engine(path, **options) as engine:
        for wrong in (
            tiny_clips[:0],
            tiny_clips[0],
            tiny_clips[:, :2],
            tiny_clips[..., :16],
            tiny_clips.astype(np.float64),
            tiny_clips.astype(np.uint8),
            [[1.0], [1.0, 2.0]],
            "video.mp4",
            None,
        ):
            with pytest.raises(InputError):
                engine.run(wrong)  # type: ignore[arg-type]
        assert engine.run(tiny_clips).logits.shape == (3, 5)

"""Streams from Python: pushing, consensus, resetting, and refusals."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adafuse_deploy.core.actions import KEEP
from adafuse_deploy.core.cost import MacsCounter, clip_macs, gate_widths
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.engines.classification import Classification
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.pytorch_engine import TorchEngine
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer


@pytest.fixture
def engine(stream_graph: Path) -> Iterator[Engine]:
    with load_engine(stream_graph, threads=1) as engine:
        yield engine


@pytest.fixture
def videos() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 6, 3, 64, 64), np.float32)


def test_one_frame_after_another(engine: Engine, videos: np.ndarray) -> None:
    with engine.stream() as stream:
        first = stream.push(videos[0, 0])  # (3, H, W)
        kept = copy.deepcopy(first)
        second = stream.push(videos[:1, 1])  # (1, 3, H, W)
        assert stream.frames.tolist() == [2]
    for prediction in (first, second):
        assert prediction.logits.shape == (1, 3) and prediction.frame_logits.shape == (1, 1, 3)
        assert prediction.logits.dtype == prediction.frame_logits.dtype == np.float32
        assert all(p.dtype == np.uint8 and p.shape[:2] == (1, 1) for p in prediction.policies)
        assert prediction.macs.shape == (1,)
    mean = (first.frame_logits[:, 0] + second.frame_logits[:, 0]) / 2
    np.testing.assert_allclose(second.logits, mean, rtol=1e-6)
    # What was handed out stays as it was.
    np.testing.assert_array_equal(first.frame_logits, kept.frame_logits)
    np.testing.assert_array_equal(first.policies[0], kept.policies[0])


def test_streams_do_not_touch_each_other(engine: Engine, videos: np.ndarray) -> None:
    with engine.stream(2) as both, engine.stream() as alone, engine.stream() as other:
        for t in range(6):
            together = both.push(videos[:, t])
            for index, stream in enumerate((alone, other)):
                single = stream.push(videos[index, t])
                np.testing.assert_allclose(together.logits[index], single.logits[0], rtol=1e-4)
                assert together.macs[index] == single.macs[0]


@pytest.mark.parametrize("file", ["graph", "checkpoint"])
def test_a_reset_stream_begins_anew(
    file: str,
    stream_graph: Path,
    online_model: VideoRecognizer,
    videos: np.ndarray,
    tmp_path: Path,
) -> None:
    path = stream_graph
    if file == "checkpoint":
        path = tmp_path / "model.pt"
        save_checkpoint(online_model, path)
    with load_engine(path, threads=1) as engine, engine.stream(2) as stream:
        fresh = [stream.push(videos[:, t]) for t in range(6)]
        stream.reset()
        for t in range(3):
            again = stream.push(videos[:, t])
            np.testing.assert_array_equal(again.logits, fresh[t].logits)
            np.testing.assert_array_equal(again.macs, fresh[t].macs)
        before = [policy.copy() for policy in again.policies]
        stream.reset(0)
        assert stream.frames.tolist() == [0, 3]
        for mine, copied in zip(again.policies, before, strict=True):
            np.testing.assert_array_equal(mine, copied)
        mixed = stream.push(np.stack([videos[0, 0], videos[1, 3]]))
        for index, step in ((0, 0), (1, 3)):
            np.testing.assert_allclose(mixed.logits[index], fresh[step].logits[index], rtol=1e-5)
            assert mixed.macs[index] == fresh[step].macs[index]
        with pytest.raises(InputError, match="no stream 2"):
            stream.reset(2)


def test_memory_is_what_the_state_takes(engine: Engine) -> None:
    entries = engine.metadata.state
    once = sum(4 * int(np.prod(entry.shape)) for entry in entries)
    with engine.stream(3) as stream:
        assert stream.state_bytes == 2 * once  # one set is read while the other is written
    with pytest.raises(RuntimeError, match="stream is closed"):
        stream.push(np.zeros((3, 3, 64, 64), np.float32))


def test_closed_engine(stream_graph: Path) -> None:
    engine = load_engine(stream_graph)
    stream = engine.stream()
    engine.close()
    with pytest.raises(RuntimeError, match="engine is closed"):
        stream.push(np.zeros((3, 64, 64), np.float32))


@pytest.mark.parametrize(
    ("streams", "frame", "message"),
    [
        (1, np.zeros((3, 64, 64), np.uint8), r"normalised float32 \(1, 3, 64, 64\), not uint8"),
        (1, np.zeros((3, 32, 64), np.float32), r"\(1, 3, 64, 64\), not \(3, 32, 64\)"),
        (1, np.zeros((64, 64, 3), np.float32), "must have shape"),
        (2, np.zeros((3, 64, 64), np.float32), "next frame of 2 streams must have shape"),
    ],
)
def test_wrong_frames(engine: Engine, streams: int, frame: np.ndarray, message: str) -> None:
    with engine.stream(streams) as stream, pytest.raises(InputError, match=message):
        stream.push(frame)


def test_wrong_arguments(engine: Engine) -> None:
    with pytest.raises(InputError, match="at least 1 stream"):
        engine.stream(0)
    with pytest.raises(InputError, match="'vote'"):
        engine.stream(consensus="vote")
    with pytest.raises(InputError, match="at least 1 frame"):
        engine.stream(consensus="window", window=0)
    with pytest.raises(InputError, match="between 0 and 1"):
        engine.stream(consensus="ema", decay=1.0)


@pytest.mark.parametrize("options", [{}, {"backend": "openvino"}])
def test_clip_graphs_say_what_to_export(tiny_graph: Path, options: dict[str, str]) -> None:
    if options:
        pytest.importorskip("openvino", reason="an optional backend is not installed")
    with (
        load_engine(tiny_graph, **options) as engine,  # type: ignore[arg-type]
        pytest.raises(InputError, match="export CHECKPOINT --mode stream"),
    ):
        engine.stream()


def test_a_checkpoint_that_cannot_stream(tiny_checkpoint: Path) -> None:
    with load_engine(tiny_checkpoint) as engine, pytest.raises(InputError, match="bidirectional"):
        engine.stream()


def test_work_of_a_stream_is_the_work_of_its_clip(online_model: VideoRecognizer) -> None:
    rng = np.random.default_rng(3)
    layers = online_model.layers()
    widths = gate_widths(layers)
    policies = [rng.integers(0, 3, (2, 9, width)).astype(np.uint8) for width in widths]
    previous = [np.full((2, 1, width), KEEP, np.uint8) for width in widths]
    total = np.zeros(2, np.int64)
    for t in range(9):
        current = [policy[:, t : t + 1] for policy in policies]
        total += MacsCounter(layers).next_frames(current, previous)
        previous = current
        # At any time it is the clip so far: nothing is computed before it is needed.
        so_far = [policy[:, : t + 1] for policy in policies]
        np.testing.assert_array_equal(total, clip_macs(layers, so_far, t + 1))


def test_bfloat16_streams_of_a_checkpoint(
    online_model: VideoRecognizer, videos: np.ndarray
) -> None:
    """Frame by frame what the same arithmetic gives for the clip; the state is half as large."""
    with TorchEngine(online_model, precision="bf16") as engine, engine.stream(2) as stream:
        whole = engine.run(videos[:, :4])
        steps = [stream.push(videos[:, t]) for t in range(4)]
        with TorchEngine(online_model) as full, full.stream(2) as single:
            assert stream.state_bytes < 0.7 * single.state_bytes
    got = np.concatenate([step.frame_logits for step in steps], 1)
    assert got.dtype == np.float32
    error = np.abs(got - whole.frame_logits).max()
    assert error <= 2e-2 * np.sqrt(np.mean(whole.frame_logits**2))


@pytest.mark.parametrize("file", ["graph", "checkpoint", "openvino"])
def test_what_is_no_frame_is_refused_and_leaves_the_stream_as_it_was(
    file: str,
    stream_graph: Path,
    online_model: VideoRecognizer,
    videos: np.ndarray,
    tmp_path: Path,
) -> None:
    path, backend = stream_graph, "onnxruntime"
    if file == "checkpoint":
        path = tmp_path / "model.pt"
        save_checkpoint(online_model, path)
    elif file == "openvino":
        pytest.importorskip("openvino")
        backend = "openvino"
    frames = videos[:, 0]
    wrong: list[Any] = [
        frames[:0],
        frames[:1],
        frames[0],
        frames[..., :32],
        frames[:, :1],
        videos,
        frames.astype(np.float64),
        (frames > 0).astype(np.uint8),
        [frames[0], frames[1, :, :32]],
        "frame.jpg",
        None,
    ]
    with load_engine(path, backend=backend, threads=1) as engine:
        with engine.stream(2) as stream:
            expected = [stream.push(videos[:, t]) for t in range(2)]
        with engine.stream(2) as stream:
            stream.push(frames)
            for value in wrong:
                with pytest.raises(InputError):
                    stream.push(value)
            assert stream.frames.tolist() == [1, 1]
            np.testing.assert_array_equal(stream.push(videos[:, 1]).logits, expected[1].logits)
        for streams in (0, -1, 1.5, "2", None):
            with pytest.raises(InputError, match="at least 1 stream"):
                engine.stream(streams)  # type: ignore[arg-type]


def test_decoded_frames_become_labels(engine: Engine) -> None:
    images = np.random.default_rng(2).integers(0, 255, (2, 90, 120, 3), np.uint8)
    names = engine.metadata.config.class_names
    frames = preprocess(images, engine.metadata.config.preprocessing)
    with engine.stream() as stream, engine.stream() as other:
        answer = stream.classify(images[0], top=2)
        prediction = other.push(frames[0])
        assert isinstance(answer, Classification) and len(answer) == 2
        assert answer.best.name == names[prediction.logits[0].argmax()]
        assert answer.best.probability == prediction.probabilities.max()
        assert repr(stream).startswith(
            "<Stream: 1 of AdaFuse online TSM resnet18 x 0.125 of 2+1+1+1 blocks, "
        )
        assert "frames seen: 1;" in repr(stream)
    assert "closed" in repr(stream)
    with engine.stream(2) as both:
        answers = both.classify(images)
        assert isinstance(answers, list)
        assert [len(entry) for entry in answers] == [3, 3] and answers[0].best == answer.best
        for value in (images[0], images.astype(np.float32), images[..., :1]):
            with pytest.raises(InputError, match=r"of 2 streams must be uint8 \(2, H, W, 3\), RGB"):
                both.classify(value)
        assert both.frames.tolist() == [1, 1]

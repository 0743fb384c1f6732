"""Reference data of the public AdaFuse code for six configurations.

The weights are a function of key and shape.  Two configurations (:data:`FULL`) have every output
and weights chosen so that no decision is close; of the other four (:data:`OTHERS`) the file holds
what the public code computed from the same weights, with argmax policies: ``policies`` (all gates
one after the other, our numbering), ``frame_logits`` and ``saved_gflops`` (upper bound, real).
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adafuse_deploy.compare.comparison import Comparison
from adafuse_deploy.compare.reference import Expectation
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.models.official import load_official
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.prediction import Prediction

FOLDER = Path(__file__).parent / "data" / "golden"
SHIFT = {"adatsm50", "adatsm50last"}
FULL = {"adatsn18": 112, "adatsm50": 224}
# Dense networks, two of which have outputs; the others have the same under other names.
DENSE = {
    "tsm18plain": "tsm18plain",
    "tsn18plain": "tsn18plain",
    "tsm18mit": "tsm18plain",
    "tsm18mmaction2": "tsm18plain",
    "tsn18mmaction2": "tsn18plain",
}
OTHERS = ("adatsn18dense", "adatsn50", "adatsm50last", "adabninc")


def golden_clip(size: int) -> np.ndarray:
    """Return the reference input: two normalised clips of 8 frames, (2, 8, 3, size, size)."""
    clip = np.random.RandomState(7).standard_normal((2, 24, size, size)).astype(np.float32)
    return clip.reshape(2, 8, 3, size, size)


def _fill(key: str, shape: list[int], salt: int) -> np.ndarray:
    """Return the weights that the reference run had under ``key``, a function of its arguments.

    A policy network's first layer gets a left half close to the negative of its right half, so that
    it looks at the change between frames and policies differ from frame to frame.
    """
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    name = f"{key}#{salt}" if salt else key
    rng = np.random.RandomState(zlib.crc32(name.encode("ascii")))
    if leaf in ("running_mean", "bias"):
        values = 0.1 * rng.standard_normal(shape)
    elif leaf == "running_var" or len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) == 4:
        values = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
    else:
        values = rng.standard_normal(shape) / np.sqrt(shape[1])
        if ".gate_fc0" in key:
            half = shape[1] // 2
            values[:, :half] = -values[:, half:] + 0.05 * values[:, :half]
            values *= 4.0
    return values.astype(np.float32)


def spec(name: str) -> dict[str, Any]:
    """Return the keys, shapes and, where the file has them, input size and reference figures."""
    file = FOLDER / f"{name}.json"
    file = file if file.exists() else FOLDER / f"{name}.keys.json"
    return {"aliases": {}, "salts": {}, **json.loads(file.read_text())}


def write_official(name: str, folder: Path) -> Path:
    """Write the configuration's weights as the public code would."""
    path = folder / f"{name}.pth.tar"
    keys = spec(name)
    weights: dict[str, np.ndarray] = {}
    for key, shape, _ in keys["entries"]:
        # A shared layer stands under several keys; they take the value of the first.
        alias = keys["aliases"].get(key)
        salt = keys["salts"].get(key.rsplit(".", 1)[0], 0)
        weights[key] = weights[alias] if alias else _fill(key, shape, salt)
    state = {f"module.{key}": torch.from_numpy(values) for key, values in weights.items()}
    torch.save({"state_dict": state}, path)
    return path


def dense_weights(name: str) -> dict[str, torch.Tensor]:
    """Return the weights of a dense network as the code of that configuration names them.

    ``mapping`` leads from its names to those of the public code, of which values are a function.
    """
    keys = spec(name)
    theirs = keys.get("mapping", {})
    return {
        key: torch.from_numpy(_fill(theirs.get(key, key), shape, 0))
        for key, shape, _ in keys["entries"]
    }


def load(name: str, folder: Path) -> VideoRecognizer:
    """Load the configuration's weights as a user would."""
    path = write_official(name, folder)
    size = spec(name).get("input_size", 224)
    return load_official(path, temporal_shift=name in SHIFT, size=size)


class _Recorded(TorchReference):
    """What the public code answered; only where that is a tie the network in PyTorch speaks."""

    def __init__(self, name: str, model: VideoRecognizer) -> None:
        super().__init__(model)
        self._golden = np.load(FOLDER / f"{name}.npz")

    def run(self, frames: np.ndarray) -> Expectation:
        ours = super().run(frames)
        shapes = [policy.shape for policy in ours.prediction.policies]
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        flat = np.split(self._golden["policies"], ends[:-1])
        frame_logits = self._golden["frame_logits"]
        official = replace(
            ours.prediction,
            logits=frame_logits.mean(1),
            frame_logits=frame_logits,
            policies=[part.reshape(shape) for part, shape in zip(flat, shapes, strict=True)],
        )
        return replace(ours, prediction=official)


def compare_with_official(name: str, model: VideoRecognizer, got: Prediction) -> Comparison:
    """Compare a prediction for :func:`golden_clip` with what the public code computed.

    ``model`` tells how clear each decision was: some of these weights leave close calls, which
    another processor's rounding may settle otherwise.
    """
    reference, comparison = _Recorded(name, model), Comparison()
    frames = golden_clip(model.config.preprocessing.crop)
    comparison.add(reference, frames, reference.run(frames), got)
    return comparison

"""Reference data of the public AdaFuse code and of dense networks.

The weights are a function of key and shape.  Two configurations (:data:`FULL`) have every output
and weights chosen so that no decision is close; of four others (:data:`OTHERS`) the file holds
what the public code computed from the same weights, with argmax policies: ``policies`` (all gates
one after the other, our numbering), ``frame_logits`` and ``saved_gflops`` (upper bound, real);
:data:`VARIANTS` are networks of other options, :data:`DENSE` those without gates.
"""

from __future__ import annotations

import itertools
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adafuse_deploy.compare.comparison import Comparison
from adafuse_deploy.compare.reference import Expectation
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.models.official import load_official
from adafuse_deploy.models.official.arguments import read_arguments
from adafuse_deploy.models.recognizer import VideoRecognizer

FOLDER = Path(__file__).parent / "golden"
SHIFT = {"adatsm50", "adatsm50last"}
FULL = {"adatsn18": 112, "adatsm50": 224}
# A minute's tracing of the larger one is for the slow tests.
EXPORTED = ["adatsn18", pytest.param("adatsm50", marks=pytest.mark.slow)]
# Dense networks, two of which have outputs; the others have the same under other names.
DENSE = {
    "tsm18plain": "tsm18plain",
    "tsn18plain": "tsn18plain",
    "tsm18mit": "tsm18plain",
    "tsm18mmaction2": "tsm18plain",
    "tsn18mmaction2": "tsn18plain",
}
OTHERS = ("adatsn18dense", "adatsn50", "adatsm50last", "adabninc")
# Networks of other options.  The first four have weights chosen so that no decision is close, and a
# training run's args.txt; of the rest ``policies`` (all gates one after the other, in that code's
# numbering), logits and ``gflops`` at 224 pixels are what it computed under argmax policies.
VARIANTS = {
    "adatsn18noskip": 112,
    "adatsn18nogrelu": 112,
    "adatsn18max": 112,
    "adatsm18div4": 112,
    "adatsn18single": 112,
    "adatsn18triple": 112,
    "adatsn18relative": 112,
    "adatsn18nohistory": 112,
    "adatsn18densenohist": 112,
    "adatsn50noskip": 112,
    "adabninc128": 224,
    "adabnincnohist": 224,
}
WITH_ARGUMENTS = tuple(VARIANTS)[:4]


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


def write_official(name: str, folder: Path, *, tiny: bool = False) -> Path:
    """Write the configuration's weights as the public code would.

    Tiny ones have an eighth of the channels and hidden units.
    """
    path = folder / f"{name}.pth.tar"
    keys = spec(name)
    weights: dict[str, np.ndarray] = {}
    for key, shape, _ in keys["entries"]:
        # A shared layer stands under several keys; they take the value of the first.
        alias = keys["aliases"].get(key)
        salt = keys["salts"].get(key.rsplit(".", 1)[0], 0)
        if tiny:
            shape = [size // 8 if size % 64 == 0 else size for size in shape]
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
    if name in VARIANTS:
        (folder / "args.txt").write_text(arguments(name))
        return load_official(path, size=VARIANTS[name])
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


def arguments(name: str = "", **changed: Any) -> str:
    """Return what a training run of a configuration leaves in args.txt, with options changed.

    Without a name it is that of ``adatsn18``.
    """
    file = FOLDER / f"{name}.args.txt"
    if file.exists():
        values = read_arguments(file)
    else:
        values = read_arguments(FOLDER / "adatsn18max.args.txt") | {"gate_reduce_type": "avg"}
        values |= _options(spec(name)["official_args"]) if name else {}
    values |= changed
    text = ", ".join(f"{key}={value!r}" for key, value in values.items() if key.isidentifier())
    rest = {key: value for key, value in values.items() if not key.isidentifier()}
    return f"Namespace({text}, **{rest!r})"


def _options(words: list[str]) -> dict[str, Any]:
    """Return a command line of the public code as options, of those that configurations use."""
    aliases = {"gbn": "gate_bn_between_fcs", "grelu": "gate_relu_between_fcs"}
    values: dict[str, Any] = {"gate_history": False, "gate_hidden_dim": 16}
    values |= dict.fromkeys(aliases.values(), False)
    for word, following in itertools.pairwise([*words[2:], "--"]):
        if not word.startswith("--"):
            continue
        name = word.removeprefix("--").replace("-", "_")
        value: Any = True if following.startswith("--") else following
        if isinstance(value, str) and value.replace(".", "").isdigit():
            value = float(value) if "." in value else int(value)
        values[aliases.get(name, name)] = value
    return {name: value for name, value in values.items() if name not in ("npb", "gsmx")}


def official_policies(name: str, model: VideoRecognizer) -> list[np.ndarray]:
    """Return the public code's policies for :func:`golden_clip`, per gate uint8 (2, 8, C)."""
    golden = np.load(FOLDER / f"{name}.npz")
    actions = model.config.gate_actions[::-1]  # that code counts from the cheapest
    codes = np.array([("keep", "reuse", "skip").index(action) for action in actions], np.uint8)
    if name in OTHERS:
        codes = np.arange(3, dtype=np.uint8)
    if "policy_00" in golden:
        gates = range(len(model.gate_names()))
        parts = [[golden[f"policy_{n:02d}"], golden[f"policy_clip1_{n:02d}"]] for n in gates]
        return [codes[np.stack(clips)] for clips in parts]
    widths = gate_widths(model.layers())
    flat = np.split(golden["policies"], np.cumsum([16 * width for width in widths])[:-1])
    return [codes[part.reshape(2, 8, -1)] for part in flat]


def compare_with_official(name: str, model: VideoRecognizer, got: Prediction) -> Comparison:
    """Compare a prediction for :func:`golden_clip` with what the public code computed.

    ``model`` tells how clear each decision was: some of these weights leave close calls, which
    another processor's rounding may settle otherwise.
    """
    reference, comparison = _Recorded(name, model), Comparison()
    frames = golden_clip(model.config.preprocessing.crop)
    comparison.add(reference, frames, reference.run(frames), got)
    return comparison

"""Export and build many networks of random weights: how often is a healthy one refused?

    python scripts/random_exports.py --count 50

exports networks of several shapes, each with weights of its own, builds the fused CPU graph of each
that has one, and counts what the checks of both say.  No network is broken, so none may be refused.
A graph is traced once per shape and filled with each network's weights where it has all by name.

Also counted: decisions that a runtime settled otherwise than PyTorch, the largest margin among
them, and how many networks a rule without ties (every decision equal) would have refused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from adafuse_deploy.compare.check import LIMITS
from adafuse_deploy.compare.output_error import relative_error
from adafuse_deploy.compare.reference import TIE, Reference
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.core.errors import CheckFailed
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters import onnx_exporter
from adafuse_deploy.exporters.fused_exporter import NothingToFuse, lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.gate import PolicyNetwork
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import create_model
from tests.traces import SharedTraces

Shape = tuple[str, str, dict[str, Any]]
SHAPES: list[Shape] = [
    ("adafuse_tsm_resnet50", "clip", {}),
    ("adafuse_tsn_resnet18", "clip", {"dense_gates": True}),
    ("adafuse_tsm_resnet18", "clip", {"gate_actions": ("keep", "reuse")}),
    ("adafuse_tsm_online_resnet18", "stream", {}),
    ("adafuse_tsm_resnet50", "clip", {"size": 96, "shared_policy": False}),
    ("adafuse_tsn_resnet18", "clip", {"gate_actions": ("keep", "skip")}),
    ("adafuse_tsn_resnet18", "stream", {"dense_gates": True}),
    ("adafuse_tsm_resnet18", "clip", {"size": 112, "width": 0.5}),
    ("adafuse_tsn_bninception", "clip", {"num_segments": 4}),
]
"""Network, mode and options, in turn."""
COMMON: dict[str, Any] = {"size": 64, "width": 0.25, "gate_hidden": 64, "num_classes": 50}


@dataclass
class Found:
    """What one network's forms did on the clip of the checks."""

    refused: list[str] = field(default_factory=list)
    flips: int = 0
    margin: float = 0.0
    error: float = 0.0
    free_error: float = 0.0

    @property
    def refused_without_ties(self) -> bool:
        """Whether a check refuses that wants every decision equal."""
        return self.flips > 0 or self.free_error > LIMITS["fp32"].logits


def random_network(name: str, seed: int, **options: Any) -> VideoRecognizer:
    """Return a network whose normalisation, gates and classifier are as lively as trained ones.

    Every second one's gates look at the difference of two frames, as trained ones do, and so at
    what is left of features that are almost equal: their decisions are closer to rounding.
    """
    torch.manual_seed(seed)
    common = {**COMMON, "width": 1.0} if "bninception" in name else COMMON
    model = create_model(name, **{**common, **options})
    for module in model.modules():
        if isinstance(module, PolicyNetwork):
            for linear in (part for part in module.modules() if isinstance(part, torch.nn.Linear)):
                torch.nn.init.normal_(linear.weight, 0, linear.in_features**-0.5)
                torch.nn.init.normal_(linear.bias, 0, 0.1)
            weight = module.fc0.weight.data
            half = weight.shape[1] // 2
            if seed % 2:
                weight[:, :half] = -weight[:, half:] + 0.05 * weight[:, :half]
                weight *= 4
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    torch.nn.init.normal_(model.consensus.fc.weight, 0, 0.1)
    # Of zero the exporter would make nothing, and the graph could not be filled with others.
    torch.nn.init.normal_(model.consensus.fc.bias, 0, 0.1)
    return model.eval()


def measure(reference: Reference, engine: Engine, clip: np.ndarray, found: Found) -> None:
    """Compare one form with PyTorch, freely and under its decisions."""
    got, free = engine.run(clip), reference.run(clip)
    led = reference.follow(clip, got.policies)
    for flip, margin in zip(led.flips(got), led.margins, strict=True):
        found.flips += int(flip.sum())
        found.margin = max(found.margin, float(margin[flip].max(initial=0)))
    found.error = max(found.error, relative_error(led.prediction.logits, got.logits))
    found.free_error = max(found.free_error, relative_error(free.prediction.logits, got.logits))


def examine(model: VideoRecognizer, mode: str, folder: Path) -> Found:
    """Export and build one network."""
    found = Found()
    portable, fused = folder / "model.onnx", folder / "model.cpu.onnx"
    forms: list[tuple[Path, bool]] = []
    try:
        export(model, portable, mode=mode)
        forms += [(portable, False), (portable, True)]
        lower(portable, fused)
        forms.append((fused, True))
    except NothingToFuse:
        pass
    except CheckFailed as error:
        found.refused.append(str(error))
    size = model.config.preprocessing.crop
    shape = (1, model.config.num_segments, 3, size, size)
    clip = np.random.default_rng(0).standard_normal(shape, np.float32)
    reference = TorchReference(model.deployed())
    for path, library in forms:
        with load_engine(path, operator_library=library) as engine:
            measure(reference, engine, clip, found)
    return found


def _report(index: int, seed: int, shapes: Sequence[Shape]) -> Found:
    """Examine a network and print a line."""
    name, mode, settings = shapes[index // 2 % len(shapes)]  # each with either kind of gate
    model = random_network(name, seed + index, **settings)
    with tempfile.TemporaryDirectory(prefix="adafuse-random-") as folder:
        found = examine(model, mode, Path(folder))
    print(
        f"{index:3d} {name} {mode} {settings}: {found.flips} ties settled otherwise (margin up to "
        f"{found.margin:.1e}), logits {found.error:.1e}, without ties "
        f"{'refused' if found.refused_without_ties else 'accepted'}"
        + "".join(f"; REFUSED: {text}" for text in found.refused),
        flush=True,
    )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Examine the networks and print a line for each, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50, help="networks")
    parser.add_argument("--seed", type=int, default=0, help="of the first network's weights")
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="the first so many only")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="adafuse-traces-") as folder:
        traces = SharedTraces(onnx_exporter._trace, Path(folder))
        with patch.object(onnx_exporter, "_trace", traces):
            results = [
                _report(index, options.seed, SHAPES[: options.shapes])
                for index in range(options.count)
            ]
    refused = sum(bool(found.refused) for found in results)
    tied = sum(found.flips > 0 for found in results)
    without = sum(found.refused_without_ties for found in results)
    print(
        f"{len(results)} networks: {refused} refused, {tied} with ties that a runtime settled "
        f"otherwise; equal decisions alone would have refused {without}. Largest margin "
        f"{max(found.margin for found in results):.1e} (a tie is below {TIE:.0e}), largest error "
        f"of logits {max(found.error for found in results):.1e} of their RMS."
    )


if __name__ == "__main__":
    main()

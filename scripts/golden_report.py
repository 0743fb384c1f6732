"""What the reference data of the public code comes to, in everything that runs a network here.

For each configuration under tests/golden: decisions that differ from the public code's, and
the largest error of its logits over their root mean square, in PyTorch, as plain ONNX, with the
operator library and fused.  Where a decision differs, by what margin it was taken there is printed,
in units of the root mean square of the gate's logits.

    python scripts/golden_report.py [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from adafuse_deploy.compare.output_error import relative_error
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import NothingToFuse, lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.golden import FOLDER, FULL, OTHERS, VARIANTS, golden_clip, load, official_policies

torch.set_num_threads(1)


def main(names: list[str]) -> None:
    """Print a table of the configurations with these names, or of all."""
    known = {**FULL, **dict.fromkeys(OTHERS, 224), **VARIANTS}
    print(
        f"{'configuration':<20} {'form':<14} {'decisions':>9} {'flips':>6} {'logits':>8}  margins"
    )
    for name in names or known:
        with tempfile.TemporaryDirectory() as folder:
            _report(name, known[name], Path(folder))


def _report(name: str, size: int, folder: Path) -> None:
    model = load(name, folder)
    clips = golden_clip(size)
    official = official_policies(name, model)
    margins = _margins(model, clips, official)
    golden = np.load(FOLDER / f"{name}.npz")
    frame_logits = golden["frame_logits"]
    for form, prediction in _forms(model, clips, folder):
        differing = [
            ours != theirs for ours, theirs in zip(prediction.policies, official, strict=True)
        ]
        flips = sum(int(part.sum()) for part in differing)
        # What follows a decision that fell otherwise is another computation.
        first = next((n for n, part in enumerate(differing) if part.any()), None)
        closest = "" if first is None else f"{margins[first][differing[first]].max():.1e}"
        error = relative_error(frame_logits, prediction.frame_logits)
        total = sum(part.size for part in differing)
        print(f"{name:<20} {form:<14} {total:>9} {flips:>6} {error:>8.1e}  {closest}", flush=True)


def _forms(
    model: VideoRecognizer, clips: np.ndarray, folder: Path
) -> Iterator[tuple[str, Prediction]]:
    yield "PyTorch", model.predict(clips)
    portable, fused = folder / "model.onnx", folder / "fused.onnx"
    export(model, portable)
    forms = [("plain ONNX", portable, False), ("with library", portable, True)]
    try:
        lower(portable, fused)
        forms.append(("fused", fused, True))
    except NothingToFuse as error:
        print(f"{'':<20} fused: {str(error).partition(' has ')[2]}")
    for form, path, library in forms:
        with load_engine(path, operator_library=library) as engine:
            yield form, engine.run(clips)


def _margins(
    model: VideoRecognizer, clips: np.ndarray, official: list[np.ndarray]
) -> list[np.ndarray]:
    """Return by how much each decision was clear, under the public code's decisions before it."""
    return TorchReference(model).follow(clips, official).margins


if __name__ == "__main__":
    main(sys.argv[1:])

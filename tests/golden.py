"""Reference data of the public AdaFuse code: six configurations, two with all their outputs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from adafuse_deploy.models.official import load_official
from adafuse_deploy.models.recognizer import VideoRecognizer

FOLDER = Path(__file__).parent / "data" / "golden"
SHIFT = {"adatsm50", "adatsm50last"}
FULL = {"adatsn18": 112, "adatsm50": 224}


def _fill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fill", FOLDER / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fill = _fill()


def spec(name: str) -> dict[str, Any]:
    """Return the keys, shapes and, for :data:`FULL` configurations, reference figures."""
    file = FOLDER / (f"{name}.json" if name in FULL else f"{name}.keys.json")
    return {"aliases": {}, "salts": {}, **json.loads(file.read_text())}


def write_official(name: str, folder: Path) -> Path:
    """Write the configuration's weights as the public code would."""
    path = folder / f"{name}.pth.tar"
    weights = fill.fill_state_dict(spec(name))
    state = {
        f"module.{key.removeprefix('module.')}": torch.from_numpy(v) for key, v in weights.items()
    }
    torch.save({"state_dict": state}, path)
    return path


def load(name: str, folder: Path) -> VideoRecognizer:
    """Load the configuration's weights as a user would."""
    path = write_official(name, folder)
    return load_official(path, temporal_shift=name in SHIFT, size=FULL.get(name, 224))

"""AdaFuse video recognition whose saved FLOPs become saved milliseconds.

    engine = adafuse_deploy.load_engine("model.onnx")
    print(engine.classify("video.mp4").best)

The names in ``__all__`` are the public surface; they load on first use, so importing the package is
quick and needs none of the runtimes.  One whose packages are not installed raises
:class:`MissingDependencyError`, which names what to install.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.3.0"

# From 1.31 on, ONNX Runtime sends its makers what it runs, unless it is told before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
    from adafuse_deploy.core.config import ModelConfig, Preprocessing
    from adafuse_deploy.core.errors import (
        AdaFuseError,
        CheckFailed,
        IncompatibleArtifactError,
        InputError,
        InputWarning,
        MissingDependencyError,
        NotFiniteError,
    )
    from adafuse_deploy.core.prediction import Prediction
    from adafuse_deploy.data.clips import open_clip
    from adafuse_deploy.data.transforms import preprocess
    from adafuse_deploy.engines.classification import Classification, Label
    from adafuse_deploy.engines.engine import Engine
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.engines.stream import Stream
    from adafuse_deploy.exporters.build import build_engine
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.exporters.quantize import quantize
    from adafuse_deploy.models.checkpoint import load_model
    from adafuse_deploy.models.official import load_official
    from adafuse_deploy.models.registry import create_model
    from adafuse_deploy.verification.verifier import verify

_HOME = {
    "KEEP": "core.actions",
    "REUSE": "core.actions",
    "SKIP": "core.actions",
    "AdaFuseError": "core.errors",
    "CheckFailed": "core.errors",
    "Classification": "engines.classification",
    "Engine": "engines.engine",
    "IncompatibleArtifactError": "core.errors",
    "InputError": "core.errors",
    "InputWarning": "core.errors",
    "Label": "engines.classification",
    "MissingDependencyError": "core.errors",
    "ModelConfig": "core.config",
    "NotFiniteError": "core.errors",
    "Prediction": "core.prediction",
    "Preprocessing": "core.config",
    "Stream": "engines.stream",
    "build_engine": "exporters.build",
    "create_model": "models.registry",
    "export": "exporters.onnx_exporter",
    "load_engine": "engines.loader",
    "load_model": "models.checkpoint",
    "load_official": "models.official",
    "open_clip": "data.clips",
    "preprocess": "data.transforms",
    "quantize": "exporters.quantize",
    "verify": "verification.verifier",
}
__all__ = [
    "KEEP",
    "REUSE",
    "SKIP",
    "AdaFuseError",
    "CheckFailed",
    "Classification",
    "Engine",
    "IncompatibleArtifactError",
    "InputError",
    "InputWarning",
    "Label",
    "MissingDependencyError",
    "ModelConfig",
    "NotFiniteError",
    "Prediction",
    "Preprocessing",
    "Stream",
    "build_engine",
    "create_model",
    "export",
    "load_engine",
    "load_model",
    "load_official",
    "open_clip",
    "preprocess",
    "quantize",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'adafuse_deploy' has no attribute {name!r}")
    from adafuse_deploy.core.packages import explained

    with explained():
        return getattr(importlib.import_module(f"adafuse_deploy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    own = {name for name in globals() if name.startswith("__")}
    return sorted({*own, *__all__})

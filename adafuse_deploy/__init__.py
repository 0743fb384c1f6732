"""AdaFuse video recognition whose saved FLOPs become saved milliseconds.

    engine = adafuse_deploy.load_engine("model.onnx")
    print(engine.classify("video.mp4").best)

The names in ``__all__`` are the public surface; they load on first use, so importing the package is
quick and needs none of the runtimes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from adafuse_deploy.classification import Classification, Label
    from adafuse_deploy.config import ModelConfig, Preprocessing
    from adafuse_deploy.data.clips import open_clip
    from adafuse_deploy.data.transforms import preprocess
    from adafuse_deploy.engines.base import Engine
    from adafuse_deploy.engines.build import build_engine
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.engines.stream import Stream
    from adafuse_deploy.errors import (
        AdaFuseError,
        CheckFailed,
        IncompatibleArtifactError,
        InputError,
        InputWarning,
        MissingDependencyError,
        NotFiniteError,
    )
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.checkpoint import load_model
    from adafuse_deploy.models.official import load_official
    from adafuse_deploy.models.registry import create_model
    from adafuse_deploy.prediction import KEEP, REUSE, SKIP, Prediction
    from adafuse_deploy.quantization.quantize import quantize
    from adafuse_deploy.verification.verifier import verify

_HOME = {
    "KEEP": "prediction",
    "REUSE": "prediction",
    "SKIP": "prediction",
    "AdaFuseError": "errors",
    "CheckFailed": "errors",
    "Classification": "classification",
    "Engine": "engines.base",
    "IncompatibleArtifactError": "errors",
    "InputError": "errors",
    "InputWarning": "errors",
    "Label": "classification",
    "MissingDependencyError": "errors",
    "ModelConfig": "config",
    "NotFiniteError": "errors",
    "Prediction": "prediction",
    "Preprocessing": "config",
    "Stream": "engines.stream",
    "build_engine": "engines.build",
    "create_model": "models.registry",
    "export": "exporters.onnx_exporter",
    "load_engine": "engines.loader",
    "load_model": "models.checkpoint",
    "load_official": "models.official",
    "open_clip": "data.clips",
    "preprocess": "data.transforms",
    "quantize": "quantization.quantize",
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
    return getattr(importlib.import_module(f"adafuse_deploy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    own = {name for name in globals() if name.startswith("__")}
    return sorted({*own, *__all__})

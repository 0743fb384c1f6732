"""AdaFuse video recognition whose saved FLOPs become saved milliseconds.

The names below are the public surface; they load on first use, so importing the package is quick
and needs none of the runtimes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from adafuse_deploy.config import ModelConfig, Preprocessing
    from adafuse_deploy.data.clips import open_clip
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.checkpoint import load_model
    from adafuse_deploy.models.official import load_official
    from adafuse_deploy.models.registry import create_model
    from adafuse_deploy.prediction import KEEP, REUSE, SKIP, Prediction
    from adafuse_deploy.quantization.quantize import quantize

_HOME = {
    "KEEP": "prediction",
    "REUSE": "prediction",
    "SKIP": "prediction",
    "ModelConfig": "config",
    "Prediction": "prediction",
    "Preprocessing": "config",
    "create_model": "models.registry",
    "export": "exporters.onnx_exporter",
    "load_engine": "engines.loader",
    "load_model": "models.checkpoint",
    "load_official": "models.official",
    "open_clip": "data.clips",
    "quantize": "quantization.quantize",
}
__all__ = [
    "KEEP",
    "REUSE",
    "SKIP",
    "ModelConfig",
    "Prediction",
    "Preprocessing",
    "create_model",
    "export",
    "load_engine",
    "load_model",
    "load_official",
    "open_clip",
    "quantize",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'adafuse_deploy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"adafuse_deploy.{_HOME[name]}"), name)

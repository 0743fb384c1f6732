"""Where our operators live in ONNX."""

from __future__ import annotations

DOMAIN = "ai.adafuse"
VERSION = 1

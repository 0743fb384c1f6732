"""The trained checkpoint that comes with the package; ``scripts/make_checkpoint.py`` makes it."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "adafuse_tsm_resnet18_synthetic.pt"
"""A small AdaFuse TSM for 12 classes of procedural videos."""

SAMPLE_VIDEO = Path(__file__).parent / "moving_left.mp4"
"""A procedural video of 64 frames of 96 x 96 pixels that examples run on."""

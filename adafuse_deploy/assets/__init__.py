"""Trained checkpoints, two graphs and a video that come with the package.

``scripts/make_checkpoint.py`` makes the checkpoints, and the README says how the graphs are made.
"""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "adafuse_tsm_resnet18_synthetic.pt"
"""A small AdaFuse TSM for clips of 12 classes of procedural videos."""

SHIPPED_STREAM = Path(__file__).parent / "adafuse_tsm_online_resnet18_synthetic.pt"
"""A smaller AdaFuse online TSM for the same classes, which also runs frame by frame."""

SHIPPED_GRAPH = SHIPPED_STREAM.with_suffix(".onnx")
"""That network exported for clips, which runs without PyTorch."""

SHIPPED_STREAM_GRAPH = SHIPPED_STREAM.with_suffix(".stream.onnx")
"""The same exported for streams."""

SAMPLE_VIDEO = Path(__file__).parent / "moving_left.mp4"
"""A procedural video of 64 frames of 96 x 96 pixels that examples run on."""

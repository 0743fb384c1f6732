"""Checkpoints of the public AdaFuse code (arXiv 2102.05775) and of other codes, bit-faithful."""

from adafuse_deploy.models.official.load import OfficialCheckpoint, load_official, read_official
from adafuse_deploy.models.official.names import convert_weights

__all__ = ["OfficialCheckpoint", "convert_weights", "load_official", "read_official"]

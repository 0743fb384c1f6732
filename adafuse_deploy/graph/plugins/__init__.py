"""Graphs that call our plugins in TensorRT."""

OPERATOR = "GatedResidualBlock"
"""What the plugin library has."""

PLUGIN_VERSION = "1"

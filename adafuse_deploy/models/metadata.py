"""What a graph of a network says about itself."""

from __future__ import annotations

from collections.abc import Mapping

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.models.recognizer import VideoRecognizer

MODES = ("clip", "stream")


def metadata_of(
    model: VideoRecognizer,
    checkpoint_sha256: str = "",
    operators: Mapping[str, int] | None = None,
    mode: str = "clip",
) -> GraphMetadata:
    """Return the record of a network in float32.

    Args:
        model: the network.
        checkpoint_sha256: hash of the file the weights came from, or "".
        operators: domain -> version of the operators outside standard ONNX.
        mode: "clip" or "stream".

    Raises:
        InputError: the network cannot run in "stream" mode, or there is no such mode.
    """
    if mode not in MODES:
        raise InputError(f"The mode is {' or '.join(map(repr, MODES))}, not {mode!r}.")
    return GraphMetadata(
        config=model.config,
        layers=model.layers(),
        gates=model.gate_names(),
        checkpoint_sha256=checkpoint_sha256,
        operators=dict(operators or {}),
        mode=mode,
        state=model.state() if mode == "stream" else [],
    )

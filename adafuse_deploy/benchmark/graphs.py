"""The graphs that are timed: ours with given policies, and the dense network for the peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from adafuse_deploy.graph import given_policies
from adafuse_deploy.graph.read import read_graph


def fix_batch(path: Path, clips: int) -> None:
    """Make the number of clips a constant of the graph, which some runtimes use."""
    model, _ = read_graph(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = clips
    del model.graph.value_info[:]
    onnx.save(model, path)


def force_policies(path: Path, policies: Sequence[np.ndarray]) -> None:
    """Let the convolutions of a graph file obey given policies, per gate int32 (N, T, C).

    The policy networks still run: their time counts.
    """
    model, _ = read_graph(path)
    onnx.save(given_policies.force_policies(model, policies), path)


def force_stream_policies(
    path: Path, policies: Sequence[np.ndarray], streams: int | None = None
) -> None:
    """Let the convolutions of a stream graph file obey given policies, per gate int32 (frames, C).

    After the last frame's the first come again; each of ``streams`` begins elsewhere.
    """
    model, metadata = read_graph(path)
    onnx.save(given_policies.force_stream_policies(model, metadata, policies, streams), path)

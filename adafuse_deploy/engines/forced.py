"""Graphs on disk whose decisions are given, for as long as a runtime takes to read one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np


@contextmanager
def forced_graph(
    path: str | os.PathLike[str], policies: Sequence[np.ndarray]
) -> Iterator[tuple[Path, list[str]]]:
    """Yield a copy of a graph whose convolutions obey given decisions.

    Its last outputs are what policy networks read, where they are to be found in a clip graph;
    their names stand beside its path.

    Args:
        path: an exported or fused graph, for clips or streams.
        policies: per gate integers (1, T, C).

    Raises:
        InputError, IncompatibleArtifactError: see :func:`~adafuse_deploy.graph.read.read_graph`.
    """
    import onnx

    from adafuse_deploy.graph import given_policies
    from adafuse_deploy.graph.read import read_graph

    model, metadata = read_graph(path)
    shown: list[str] = []
    if metadata.mode == "stream":
        rows = [policy[0] for policy in policies]
        forced = given_policies.force_stream_policies(model, metadata, rows)
    else:
        frames, gates = metadata.config.num_segments, len(metadata.gates)
        shown = given_policies.feature_names(model, frames, gates)
        forced = given_policies.force_policies(model, policies, shown)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        onnx.save(forced, copy)
        yield copy, shown

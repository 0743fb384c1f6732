"""Traces that exports share: networks of one shape have one graph, with other weights."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from pathlib import Path

import onnx

from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.models.recognizer import VideoRecognizer

Trace = Callable[[VideoRecognizer, GraphMetadata], onnx.ModelProto]
OF_NO_GRAPH = ("class_names", "dropout", "preprocessing")
"""Fields of a configuration that a graph does not depend on, but for the size of its input."""


class SharedTraces:
    """Traces a shape once, which takes ten seconds, and fills the graph with a network's weights.

    Args:
        trace: what it does in the exporter's place.
        folder: where graphs lie; processes may share it.
    """

    def __init__(self, trace: Trace, folder: Path) -> None:
        self._trace, self._folder = trace, folder

    def __call__(self, model: VideoRecognizer, metadata: GraphMetadata) -> onnx.ModelProto:
        config = {k: v for k, v in metadata.config.to_dict().items() if k not in OF_NO_GRAPH}
        shape = json_text([config, metadata.mode, list(metadata.input_shape), _uniform(model)])
        weights = hashlib.sha256(shape.encode())
        for name, tensor in model.state_dict().items():
            weights.update(name.encode() + tensor.numpy().tobytes())
        of_shape = self._folder / f"trace-{hashlib.sha256(shape.encode()).hexdigest()}.onnx"
        of_weights = self._folder / f"trace-{weights.hexdigest()}.onnx"
        with open(of_shape.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be tracing it
            filled = _fill(onnx.load(of_shape), model) if of_shape.is_file() else None
            if filled is not None:
                return filled
            if not of_weights.is_file():
                onnx.save(self._trace(model, metadata), of_weights)
            graph = onnx.load(of_weights)
            if not of_shape.is_file():
                onnx.save(graph, of_shape)
        return graph


def _uniform(model: VideoRecognizer) -> dict[str, float]:
    """Return the tensors whose values are all the same; zeros leave a graph, for instance."""
    return {
        name: float(tensor.reshape(-1)[0])
        for name, tensor in model.state_dict().items()
        if (tensor == tensor.reshape(-1)[0]).all()
    }


def _fill(graph: onnx.ModelProto, model: VideoRecognizer) -> onnx.ModelProto | None:
    """Return the graph with a network's weights; None if it holds some of them in another form."""
    uniform = _uniform(model)
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    wanted = {w.data_ptr() for name, w in model.state_dict().items() if name not in uniform}
    # A layer that gates share has several names, of which the graph has one.
    if wanted - {weights[t.name].data_ptr() for t in graph.graph.initializer if t.name in weights}:
        return None
    for tensor in graph.graph.initializer:
        if tensor.name in weights:
            values = weights[tensor.name].numpy()
            assert values.shape == tuple(tensor.dims)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return graph

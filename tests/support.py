"""What tests of several areas do alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnxruntime
import pytest

from adafuse_deploy.cli import main
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.ops import library
from adafuse_deploy.ops.operator_schemas import DOMAIN

GIVES_MAPS = ("Stem", "ChannelsLast", "BasicBlock", "Bottleneck", "FrameConv", "FramePool")
"""The last words of the operators that pass on frames."""

SHALLOW = (2, 1, 1, 1)
"""Blocks of ResNet stages: with a stride and without, with a shortcut's convolution and without."""


def slow(*values: Any) -> Any:
    """One of many parameters, which `make test` leaves to `make test-all`."""
    return pytest.param(*values, marks=pytest.mark.slow)


def run_cli(*arguments: object) -> int:
    """Run the command line as a user does and return its exit code."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as error:
        assert isinstance(error.code, int)
        return error.code
    return 0


def with_spacing(graph: Path, target: Path, seconds: float) -> Path:
    """Copy a graph that records no frame spacing to one that does."""
    model = onnx.load(graph)
    (entry,) = model.metadata_props
    record = json.loads(entry.value)
    record["config"]["frame_spacing"] = dict.fromkeys(("median", "p10", "p90"), seconds)
    entry.value = json_text(record)
    onnx.save(model, target)
    return target


def assert_same(got: Prediction, expected: Prediction) -> None:
    """Policies exact, logits within 1e-4 of their RMS, the same count of operations."""
    for ours, theirs in zip(got.policies, expected.policies, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("logits", "frame_logits"):
        reference = getattr(expected, name)
        error = np.abs(getattr(got, name) - reference).max()
        assert error <= 1e-4 * np.sqrt(np.mean(reference**2)), name
    np.testing.assert_array_equal(got.macs, expected.macs)


def kinds_of(model: onnx.ModelProto) -> set[str]:
    """Return the operators that are in a graph."""
    return {node.op_type for node in model.graph.node}


def maps_of_fused(model: onnx.ModelProto) -> list[str]:
    """Return the feature maps that fused operators give, after checking that only such read them.

    Anything else would have to bring their channels back in front of space.
    """
    fused = [node for node in model.graph.node if node.domain == DOMAIN]
    maps = [node.output[0] for node in fused if node.op_type.endswith(GIVES_MAPS)]
    strangers = (node for node in model.graph.node if node.domain != DOMAIN)
    assert maps and not {name for node in strangers for name in node.input}.intersection(maps)
    return maps


def assert_shapes_of_maps_are_known(path: Path) -> None:
    """Check that ONNX Runtime infers the shapes of all that fused operators give, but for N."""
    model = onnx.load(path)
    maps = maps_of_fused(model)
    for name in maps:
        kind = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        model.graph.output.append(onnx.helper.make_value_info(name, kind))
    options = onnxruntime.SessionOptions()
    library.register(options)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    shapes = {value.name: value.shape for value in session.get_outputs()}
    for name in maps:
        assert len(shapes[name]) == 4 and all(isinstance(size, int) for size in shapes[name][1:])


def damage(path: Path, frames: range) -> None:
    """Overwrite the second half of stored frames with noise."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for position, size in (packets[index] for index in frames):
        content[position + size // 2 : position + size] = noise.bytes(size - size // 2)
    path.write_bytes(content)

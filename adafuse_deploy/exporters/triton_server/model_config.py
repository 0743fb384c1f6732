"""What Triton Inference Server must know of a model: its ``config.pbtxt``.

Source: ``ModelConfig`` in model_config.proto of triton-inference-server/common, and its user guide
on batchers and implicit state.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata, StateTensor, policy_name
from adafuse_deploy.exporters.triton_server.text_format import Word

LABELS = "labels.txt"
QUEUE_MICROSECONDS = 2000
"""For which a request waits for others to be run with."""
IDLE_MICROSECONDS = 60_000_000
"""After which a stream that sends no frame is forgotten."""

_TYPES = {"float32": Word("TYPE_FP32"), "int32": Word("TYPE_INT32")}


def model_config(
    name: str,
    metadata: GraphMetadata,
    backend: Mapping[str, Any],
    *,
    max_batch: int,
    max_streams: int,
    parameters: Mapping[str, str],
) -> dict[str, Any]:
    """Return the fields of a model's configuration.

    Args:
        name: of the model, which is that of its folder.
        metadata: what it is.
        backend: fields that say what runs it, and from which file.
        max_batch: how many clips, or frames of so many streams, are run together.
        max_streams: streams whose state is kept; more of them wait.
        parameters: of the backend; the metadata joins them for clients.

    Raises:
        InputError: the state cannot be paired as the server does it.
    """
    stream = metadata.mode == "stream"
    config: dict[str, Any] = {"name": name, **backend, "max_batch_size": max_batch}
    frames = "frame" if stream else "frames"
    config["input"] = [_tensor(frames, "float32", *metadata.input_shape)]
    config["output"] = _outputs(metadata)
    if stream:
        config["sequence_batching"] = {
            "max_sequence_idle_microseconds": IDLE_MICROSECONDS,
            "oldest": {
                "max_candidate_sequences": max_streams,
                "max_queue_delay_microseconds": QUEUE_MICROSECONDS,
            },
            "state": _states(metadata.state),
        }
    else:
        config["dynamic_batching"] = {"max_queue_delay_microseconds": QUEUE_MICROSECONDS}
    config["parameters"] = [
        {"key": key, "value": {"string_value": value}}
        for key, value in {**parameters, **metadata.to_props()}.items()
    ]
    return config


def _outputs(metadata: GraphMetadata) -> list[dict[str, Any]]:
    """Return what a client may ask for; logits have labels."""
    config = metadata.config
    outputs = [_tensor("logits", "float32", config.num_classes) | {"label_filename": LABELS}]
    if metadata.mode == "clip":
        shape = config.num_segments, config.num_classes
        outputs.append(_tensor("frame_logits", "float32", *shape))
    for gate, width in enumerate(gate_widths(metadata.layers)):
        steps = () if metadata.mode == "stream" else (config.num_segments,)
        outputs.append(_tensor(policy_name(gate), "int32", *steps, width))
    return outputs


def _states(states: list[StateTensor]) -> list[dict[str, Any]]:
    """Return the state that the server keeps for every stream.

    The server keeps inputs and outputs in the order of their names, and what an output gave goes
    into the input at the same place.
    """
    if sorted(states, key=attrgetter("input")) != sorted(states, key=attrgetter("output")):
        raise InputError(
            "The state's inputs and outputs are not in one order when sorted by name, by which "
            "Triton Inference Server pairs them; export the graph again."
        )
    return [
        {
            "input_name": state.input,
            "output_name": state.output,
            "data_type": _TYPES[state.dtype],
            "dims": list(state.shape),
            "initial_state": {
                "data_type": _TYPES[state.dtype],
                "dims": list(state.shape),
                "zero_data": True,
                "name": "zeros",
            },
        }
        for state in states
    ]


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "data_type": _TYPES[dtype], "dims": list(shape)}

"""What a graph says about itself, so that no side file is needed to run it right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adafuse_deploy import __version__
from adafuse_deploy.core.actions import ACTION_NAMES
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import Layer
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.json_text import json_text, parse_json
from adafuse_deploy.core.records import check_record, schema

KEY = "adafuse"
"""The entry of ``metadata_props`` that holds everything as JSON."""
SCHEMA: int = schema("metadata")["properties"]["schema"]["const"]
_MOST_VALUES = 2**40  # of a state


@dataclass(frozen=True)
class StateTensor:
    """One tensor that a stream graph hands from a frame to the next; zeros begin a stream.

    Attributes:
        input, output: its names among the graph's inputs and outputs.
        shape: without the first dimension, the streams.
        dtype: "float32" or "int32".
    """

    input: str
    output: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))

    @classmethod
    def named(cls, index: int, kind: str, shape: tuple[int, ...], dtype: str) -> StateTensor:
        """Return the record of the state at ``index``, of a ``kind`` such as "features"."""
        name = f"state_{index:03d}_{kind}"
        return cls(name, f"next_{name}", shape, dtype)


@dataclass(frozen=True, repr=False)
class GraphMetadata:
    """Everything an engine needs to know about a graph beyond the graph itself.

    Attributes:
        config: the network, its preprocessing and class names.
        layers: the cost table for the graph's frame size, see :mod:`adafuse_deploy.core.cost`.
        gates: names of the gates in network order; policy i is the output ``policy_<i>``.
        checkpoint_sha256: hash of the file the weights came from, or "" for a model in memory.
        mode: "clip": clips of T frames in; "stream": the next frame of every stream in.
        precision: "fp32", "fp16", "bf16" or "int8": arithmetic of the convolutions.
        operators: domain -> version of the operators outside standard ONNX.
        state: what a stream graph hands from frame to frame; empty in clip mode.
        action_order: the numbering of policies.
        tool_version: adafuse-deploy that wrote the graph.
        schema: version of this record.
        portable_name: file name of the portable graph that this one was lowered from, or "" for a
            portable graph.
        portable_sha256: hash of that file, or "".
        calibration: how an int8 graph was quantised; empty otherwise.
    """

    config: ModelConfig
    layers: list[Layer]
    gates: list[str]
    checkpoint_sha256: str = ""
    mode: str = "clip"
    precision: str = "fp32"
    operators: dict[str, int] = field(default_factory=dict)
    state: list[StateTensor] = field(default_factory=list)
    action_order: list[str] = field(default_factory=lambda: list(ACTION_NAMES))
    tool_version: str = __version__
    schema: int = SCHEMA
    portable_name: str = ""
    portable_sha256: str = ""
    calibration: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The network and the form of its graph in a few words."""
        form = ", fused" if self.portable_name else ""
        return f"{self.config.summary}, {self.mode}, {self.precision}{form}"

    def __repr__(self) -> str:
        return f"<GraphMetadata: {self.summary}>"

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(3, H, W)."""
        crop = self.config.preprocessing.crop
        return 3, crop, crop

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """(T, 3, H, W)."""
        return self.config.num_segments, *self.frame_shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the graph's input ``frames`` (clip) or ``frame`` (stream) without N."""
        return self.clip_shape if self.mode == "clip" else self.frame_shape

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs in order."""
        logits = ["logits", "frame_logits"] if self.mode == "clip" else ["logits"]
        policies = [policy_name(gate) for gate in range(len(self.gates))]
        return [*logits, *policies, *(state.output for state in self.state)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = {
            **self.__dict__,
            "config": self.config.to_dict(),
            "state": [asdict(state) for state in self.state],
        }
        for name in ("portable_name", "portable_sha256", "calibration"):
            if not values[name]:
                del values[name]  # which older versions do not know
        return {**values, "layers": [layer.to_dict() for layer in self.layers]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> GraphMetadata:
        """Rebuild the record from :meth:`to_dict`.

        Raises:
            IncompatibleArtifactError: another adafuse-deploy wrote it: in another schema, or with
                a field that this one does not know.
            ValueError: it is damaged.
            InputError: it is damaged.
        """
        check_record(values, "metadata", source, "export it again")
        known = {
            **values,
            "config": ModelConfig.from_dict(values["config"]),
            "layers": [Layer.from_dict(layer) for layer in values["layers"]],
            "state": [StateTensor(**state) for state in values["state"]],
        }
        metadata = cls(**known)
        for layer in metadata.layers:
            for gate in (layer.output, layer.input):
                if gate and not (gate.gate < len(metadata.gates) and gate.start < gate.stop):
                    raise ValueError(f"layer {layer.name} names channels of no gate")
        for state in metadata.state:
            if math.prod(state.shape) > _MOST_VALUES:
                raise ValueError(f"state {state.input} has more than 2^40 values")
        return metadata

    def to_props(self) -> dict[str, str]:
        """Return the entries for ``metadata_props``."""
        return {KEY: json_text(self.to_dict(), compact=True)}

    @classmethod
    def from_props(cls, props: Mapping[str, str], source: str) -> GraphMetadata:
        """Read the record out of a graph's ``metadata_props``.

        Raises:
            InputError: the graph was not exported by adafuse-deploy.
            IncompatibleArtifactError: see :meth:`from_dict`.
        """
        if KEY not in props:
            raise InputError(
                f"{source} carries no adafuse-deploy metadata; make it with 'adafuse-deploy "
                "export' (other ONNX files do not say their preprocessing and policies)."
            )
        try:
            return cls.from_dict(parse_json(props[KEY]), source)
        except (ValueError, InputError) as error:
            raise InputError(
                f"The adafuse-deploy metadata of {source} is damaged ({error}); export it again."
            ) from error


def policy_name(gate: int) -> str:
    """Return the name of a gate's policy output."""
    return f"policy_{gate:02d}"

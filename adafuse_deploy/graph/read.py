"""Reading exported graphs for any runtime: the metadata, and a form in standard operators only."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.graph.metadata_props import metadata_props
from adafuse_deploy.ops.operator_schemas import DOMAIN

if TYPE_CHECKING:
    import onnx


def read_graph(path: str | os.PathLike[str]) -> tuple[onnx.ModelProto, GraphMetadata]:
    """Read an exported graph.

    Raises:
        InputError: the file is missing, damaged, not exported by adafuse-deploy, or a weight in it
            is NaN or infinite.
        IncompatibleArtifactError: another version exported it, with another metadata schema.
    """
    import onnx
    from google.protobuf.message import DecodeError

    path = _existing(path)
    try:
        model = onnx.load(path)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(_unreadable(path, error)) from error
    metadata = GraphMetadata.from_props(
        {entry.key: entry.value for entry in model.metadata_props}, str(path)
    )
    _check_finite(model, path)
    return model, metadata


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no graph {path}; make it with 'adafuse-deploy export'.")
    return path


def _check_finite(model: onnx.ModelProto, path: Path) -> None:
    import numpy as np
    from onnx import TensorProto, numpy_helper

    kinds = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
    for tensor in model.graph.initializer:
        if not tensor.dims or tensor.data_type not in kinds:
            continue
        if not np.isfinite(numpy_helper.to_array(tensor)).all():
            raise InputError(
                f"{path} holds NaN or infinite weights, first in {tensor.name}; export it again "
                "from a checkpoint whose training did not diverge."
            )


def read_metadata(path: str | os.PathLike[str]) -> GraphMetadata:
    """Read what an exported graph says about itself without reading its weights.

    Raises:
        InputError, IncompatibleArtifactError: as for :func:`read_graph`.
    """
    path = _existing(path)
    try:
        with open(path, "rb") as file:
            props = metadata_props(file)
    except ValueError as error:
        raise InputError(_unreadable(path, error)) from error
    return GraphMetadata.from_props(props, str(path))


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"{path} is not a readable ONNX file ({error}); it is truncated or damaged: export it "
        "or copy it again."
    )


def inlined(model: onnx.ModelProto, plugins: Collection[str] = ()) -> onnx.ModelProto:
    """Return the graph in standard operators: function bodies stand where our operators stood.

    Operators of ours that the runtime has as ``plugins`` stay.

    OpenVINO does not know local functions, and TensorRT's parser drops attributes that a function
    passes on by reference, without a word; neither may see them.
    """
    import onnx
    import onnx.inliner

    flat = onnx.inliner.inline_local_functions(model)
    domains = ("", "ai.onnx", DOMAIN) if plugins else ("", "ai.onnx")
    known = [entry for entry in flat.opset_import if entry.domain in domains]
    foreign = sorted(
        {
            node.op_type
            for node in flat.graph.node
            if node.domain not in ("", "ai.onnx") and node.op_type not in plugins
        }
    )
    if foreign:
        raise InputError(
            f"The graph has operators without function bodies ({', '.join(foreign)}); if it was "
            "built for ONNX Runtime, give the portable graph it was built from, otherwise export "
            "it again with this adafuse-deploy."
        )
    del flat.opset_import[:]
    flat.opset_import.extend(known)
    return flat

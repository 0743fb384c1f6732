"""Export a network to one ONNX file that runs everywhere, checked before it exists.

Every gate decides by argmax.  Gated convolutions become nodes of the operator domain that take the
policy as an input, and the file carries their function bodies in standard operators.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from adafuse_deploy.compare.check import Check, Notify
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.core.errors import CheckFailed, MissingDependencyError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.simplify import simplify
from adafuse_deploy.models.checkpoint import check_finite
from adafuse_deploy.models.metadata import metadata_of
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.ops import onnx_ops
from adafuse_deploy.ops.onnx_definition import OPSET
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION


def export(
    model: VideoRecognizer,
    path: str | os.PathLike[str],
    *,
    mode: str = "clip",
    checkpoint_sha256: str = "",
    notify: Notify = lambda sentence: None,
) -> GraphMetadata:
    """Write ``model`` to ``path`` as ONNX, after checking the graph against PyTorch.

    In mode "clip" the graph takes ``frames`` float32 (N, T, 3, H, W), N dynamic, and gives
    ``logits`` (N, K), ``frame_logits`` (N, T, K) and per gate ``policy_<i>`` int32 (N, T, C).

    In mode "stream" it takes ``frame`` float32 (N, 3, H, W), the next frame of N streams, and gives
    ``logits`` (N, K) and ``policy_<i>`` (N, C) of that frame.  All history is in inputs and outputs
    that the metadata lists as its ``state``: the outputs of one run are the inputs of the next, and
    zeros begin a stream.

    The graph is checked with onnx.checker and strict shape inference, and run on a random clip,
    frame by frame in the mode "stream", in ONNX Runtime on its function bodies and, where the
    operator library is built, on our kernels: the result must be PyTorch's for that clip, decision
    by decision but for float32 ties, and under the same decisions to 1e-4 of the logits' RMS.

    Args:
        model: a trained network; it is not changed.
        path: the file to make; nothing is left there unless all checks pass.
        mode: "clip" or "stream".
        checkpoint_sha256: hash of the file the weights came from, for the metadata.
        notify: is told in a sentence of ties that ONNX Runtime settled otherwise.

    Returns:
        The metadata stored in the graph.

    Raises:
        CheckFailed: the graph does not reproduce PyTorch.
        InputError: ``path`` cannot be written, a weight is NaN or infinite, or the network needs
            later frames than a stream has.
        NotFiniteError: the network itself answers with NaN or infinity.
    """
    check_finite(model.state_dict(), "The network")
    deployed = model.deployed()
    operators = {DOMAIN: VERSION} if model.gate_names() else {}
    metadata = metadata_of(model, checkpoint_sha256, operators, mode)
    # The output is opened first, so that a path that cannot be written fails before the work.
    with atomic_path(path) as temporary:
        proto = _trace(deployed, metadata)
        _forget_origin(proto)
        onnx.helper.set_model_props(proto, metadata.to_props())
        proto.producer_name = "adafuse-deploy"
        proto.producer_version = metadata.tool_version
        proto.doc_string = "AdaFuse video recognition (arXiv 2102.05775)"
        onnx.save(proto, temporary)
        onnx.checker.check_model(str(temporary), full_check=True)
        _check_against_pytorch(temporary, deployed, metadata, notify)
    return metadata


def _forget_origin(proto: onnx.ModelProto) -> None:
    """Leave out what PyTorch notes of each node: lines of code, with paths of this machine."""
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]
    del proto.graph.metadata_props[:]


class _OnClips(nn.Module):
    """The network with its outputs as one flat tuple, which is what a graph can return."""

    def __init__(self, model: VideoRecognizer) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        output = self.model(frames)
        return output.logits, output.frame_logits, *output.policies


class _OnStreams(_OnClips):
    """The same for the next frame of every stream."""

    def forward(self, frame: Tensor, history: list[Tensor]) -> tuple[Tensor, ...]:  # type: ignore[override]
        output, state = self.model.step(frame, history)
        return output.logits, *(policy[:, 0] for policy in output.policies), *state


def _trace(model: VideoRecognizer, metadata: GraphMetadata) -> onnx.ModelProto:
    batch = {0: torch.export.Dim("batch")}
    # Two clips or streams: a batch of one would be traced as a constant.
    first = torch.zeros(2, *metadata.input_shape)
    module, names = _OnClips(model), ["frames"]
    inputs: tuple[Any, ...] = (first,)
    dynamic: tuple[Any, ...] = (batch,)
    if metadata.mode == "stream":
        state = metadata.state
        module, names = _OnStreams(model), ["frame", *(entry.input for entry in state)]
        history = [torch.zeros(2, *e.shape, dtype=getattr(torch, e.dtype)) for e in state]
        inputs, dynamic = (first, history), (batch, [batch] * len(history))
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            custom_translation_table=onnx_ops.translation_table(),
            input_names=names,
            output_names=metadata.outputs,
            dynamic_shapes=dynamic,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    simplify(program.model)
    proto = program.model_proto
    ours = [node for node in proto.graph.node if node.op_type in onnx_ops.SCHEMAS]
    for node in ours:
        # Absent promises are spelt out: some runtimes count inputs.
        absent = len(onnx_ops.SCHEMAS[node.op_type].inputs) - len(node.input)
        node.input.extend([""] * absent)
    proto.functions.extend(onnx_ops.function_bodies({node.op_type for node in ours}))
    return proto


def _check_against_pytorch(
    path: Path, model: VideoRecognizer, metadata: GraphMetadata, notify: Notify
) -> None:
    check = Check(TorchReference(model), metadata.clip_shape, metadata.gates)
    for library in (False, True) if metadata.operators else (False,):
        try:
            engine = load_engine(path, operator_library=library)
        except MissingDependencyError:
            if library:  # A build without native code still exports; the plain form was checked.
                continue
            raise
        with engine:
            difference = check.difference(engine, "fp32", notify)
        if difference:
            form = "with the operator library" if library else "in plain ONNX Runtime"
            raise CheckFailed(
                f"The exported graph {form} differs from PyTorch ({difference}), so nothing was "
                "written; please report this with the versions that 'adafuse-deploy doctor' prints."
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress text and notices about packages nobody here uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

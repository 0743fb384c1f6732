"""OpenVINO: the graph with its function bodies inlined, as a dense peer to compare with."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import numpy as np

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.engine import Engine, Forced
from adafuse_deploy.engines.forced import forced_graph
from adafuse_deploy.engines.stepper import Arrays, PingPong, Stepper
from adafuse_deploy.graph.read import inlined, read_graph, read_metadata

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVINOEngine(Engine):
    """An exported graph in OpenVINO.  Every channel is computed.

    Args:
        path: the ``.onnx`` file.
        threads: of inference; None lets OpenVINO choose.
        device: OpenVINO's name in any case, such as "cpu" or "gpu.0".
        precision: "fp32", "bf16" or "fp16"; OpenVINO by itself would take bf16 where the processor
            has it, which changes policies.

    Raises:
        InputError: see :func:`~adafuse_deploy.graph.read.read_graph`; or unknown precision.
        MissingDependencyError: OpenVINO is not installed.
        IncompatibleArtifactError: it cannot run the graph on that device.
    """

    name = "openvino"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        openvino = BACKENDS["openvino"].load()
        self._path, self._options = os.fspath(path), (threads, device, precision)
        self.metadata = read_metadata(path)
        self._names = list(self.metadata.outputs)
        if precision not in PRECISIONS:
            raise InputError(
                f"OpenVINO computes in {', '.join(PRECISIONS)} here, not in {precision!r}."
            )
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        core = openvino.Core()
        try:
            if self.metadata.operators:
                model = core.read_model(inlined(read_graph(path)[0]).SerializeToString())
            else:  # it reads the file itself, which needs less memory
                model = core.read_model(os.fspath(path))
            self._model = core.compile_model(model, device.upper(), settings)
        except RuntimeError as error:
            raise IncompatibleArtifactError(
                f"OpenVINO {openvino.__version__} cannot run {path} on {device}: {error}"
            ) from error

        self._request = self._model.create_infer_request()
        self._turn = threading.Lock()  # a request serves one thread at a time
        self._tensor = openvino.Tensor

    def run_forced(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Forced:
        threads, device, precision = self._options
        with forced_graph(self._path, policies) as (path, shown):
            engine = OpenVINOEngine(path, threads=threads, device=device, precision=precision)
        with engine:
            engine._names += shown
            return engine._run_shown(frames, len(shown))

    def _infer(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        with self._turn:
            self._request.infer({"frames": frames}, share_inputs=True)
            # Copies: the request overwrites its tensors in the next run.
            return [self._request.get_tensor(name).data.copy() for name in self._names]

    def _stepper(self, streams: int) -> Stepper:
        if self.metadata.mode != "stream":
            return super()._stepper(streams)
        return PingPong(self.metadata, streams, self._bind)

    def _bind(self, inputs: Arrays, outputs: Arrays) -> Callable[[], object]:
        request = self._model.create_infer_request()
        # Inlined, promises about the input are read by nobody, and OpenVINO drops such inputs.
        read = {name for port in self._model.inputs for name in port.names}
        for name, array in (*inputs.items(), *outputs.items()):
            if name in read or name in outputs:
                request.set_tensor(name, self._tensor(array, shared_memory=True))
        return request.infer

    def _release(self) -> None:
        del self._request, self._model

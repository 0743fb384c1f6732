"""Running engines of TensorRT (10.3 to 11) and TensorRT for RTX: one path for both.

No GPU was at hand when this was written: the tests run it against stand-ins for the driver and for
TensorRT, and its calls were checked against the type stubs of TensorRT 10.13.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.engines import plugin_library
from adafuse_deploy.engines.backends import find_backend
from adafuse_deploy.engines.cuda_driver import Buffer, Gpu, Stream
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.sidecar import read_sidecar
from adafuse_deploy.engines.tensorrt_logging import trt_logger

if TYPE_CHECKING:
    import tensorrt


class TensorRTEngine(Engine):
    """An engine file in the runtime that built it.

    Args:
        path: the engine; its sidecar is checked before anything is deserialised.
        device: "cuda" or "cuda:<index>".

    Raises:
        InputError: there is no such file or device.
        MissingDependencyError: the runtime, a GPU or the plugin library is missing.
        IncompatibleArtifactError: the engine was changed, or built for another version or GPU, or
            with another plugin library.
    """

    def __init__(self, path: str | os.PathLike[str], *, device: str = "cuda") -> None:
        path = Path(path)
        self.sidecar = read_sidecar(path)
        self.name, self.metadata = self.sidecar.backend, self.sidecar.metadata
        self.max_batch = self.sidecar.batch.max
        backend = find_backend(self.sidecar.backend)
        self.sidecar.check_runtime(path, backend.version())
        gpu = _gpu(device)
        self.sidecar.check_gpu(path, gpu.compute_capability)
        gpu.activate()
        trt = backend.load()
        logger = trt_logger(trt)
        logger.failure()  # forget those of earlier engines
        runtime: tensorrt.Runtime = trt.Runtime(logger)
        operators = self.sidecar.operators
        self.skips_work = operators is not None
        if operators is not None and operators.embedded:
            runtime.engine_host_code_allowed = True
        elif operators is not None:
            plugin_library.load(plugin_library.library_for(path, operators), trt)
        engine: tensorrt.ICudaEngine | None = runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise IncompatibleArtifactError(
                f"{backend.title} {trt.__version__} cannot open {path}: {logger.failure()}; build "
                "it again on this machine with 'adafuse-deploy build-engine'."
            )
        self._gpu, self._runtime, self._engine = gpu, runtime, engine
        context: tensorrt.IExecutionContext | None = engine.create_execution_context()
        if context is None:
            raise InputError(
                f"{backend.title} could not prepare {path}: {logger.failure()}; free some memory "
                "of the GPU, or build the engine again with a smaller --max-batch."
            )
        self._context = context
        self._types = {
            name: np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            for name in ("frames", *self.metadata.outputs)
        }
        self._stream = Stream(gpu)
        self._buffers = self._allocate()
        self._turn = threading.Lock()  # a context and its buffers serve one thread at a time

    def _allocate(self) -> dict[str, Buffer]:
        """Bind device memory for the largest batch to every input and output."""
        self._context.set_input_shape("frames", (self.sidecar.batch.max, *self.metadata.clip_shape))
        buffers = {}
        for name, dtype in self._types.items():
            size = int(np.prod(self._context.get_tensor_shape(name))) * dtype.itemsize
            buffers[name] = Buffer(self._gpu, size)
            self._context.set_tensor_address(name, buffers[name].address)
        return buffers

    def _infer(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        batch = self.sidecar.batch
        if not batch.min <= len(frames) <= batch.max:
            raise InputError(
                f"The engine takes {batch.min} to {batch.max} clips at a time, not {len(frames)}; "
                "split the batch, or build it again with another --max-batch."
            )
        with self._turn:
            return self._run_in_turn(frames)

    def _run_in_turn(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        self._gpu.activate()  # this may be another thread than the one that opened the engine
        self._context.set_input_shape("frames", frames.shape)
        self._stream.upload(self._buffers["frames"].address, frames)
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError(f"{self.name} could not run the engine.")
        outputs = []
        for name in self.metadata.outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            outputs.append(np.empty(shape, self._types[name]))
            self._stream.download(outputs[-1], self._buffers[name].address)
        self._stream.synchronize()
        return outputs

    def _release(self) -> None:
        # TensorRT's objects go first, in the order opposite to their making.
        del self._context, self._engine, self._runtime
        for buffer in self._buffers.values():
            buffer.close()
        self._stream.close()


def _gpu(device: str) -> Gpu:
    kind, _, index = device.partition(":")
    if kind != "cuda" or not (index or "0").isdecimal():
        raise InputError(f"Engines run on 'cuda' or 'cuda:<index>', not on {device!r}.")
    return Gpu(int(index or 0))

"""ONNX Runtime: conditional kernels through the operator library, or the plain function bodies."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, MissingDependencyError
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.engine import Engine, Forced
from adafuse_deploy.engines.forced import forced_graph
from adafuse_deploy.engines.stepper import Arrays, PingPong, Stepper
from adafuse_deploy.graph.read import read_metadata

if TYPE_CHECKING:
    import onnxruntime

    from adafuse_deploy.core.metadata import GraphMetadata

_VALUE_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
_CACHED_BYTES = 8 * 3 * 224 * 224 * _VALUE_BYTES["fp32"]
"""Of clips in a fused graph's precision, that it runs together."""


class OnnxRuntimeEngine(Engine):
    """An exported graph in ONNX Runtime.

    Args:
        path: the ``.onnx`` file.
        operator_library: True for the installed library, a path for another one, False for plain
            ONNX Runtime on the function bodies, which computes every channel.
        threads: of one operator; None lets ONNX Runtime choose (one per core).
        device: "cpu", "cuda" or "cuda:<index>"; the kernels of the operator library are for CPUs.
        node_events: where ONNX Runtime's own profiler shall write, the beginning of a file's name;
            see :meth:`end_node_events`.  It costs time in every node.

    Raises:
        InputError: see :func:`~adafuse_deploy.graph.read.read_metadata`; or an unusable device.
        MissingDependencyError: the operator library, or ONNX Runtime for CUDA, is not there.
        IncompatibleArtifactError: this ONNX Runtime cannot run the graph, or a graph built for the
            operator library shall run without it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        operator_library: bool | str | os.PathLike[str] = True,
        threads: int | None = None,
        device: str = "cpu",
        node_events: str | os.PathLike[str] | None = None,
    ) -> None:
        ort = BACKENDS["onnxruntime"].load()
        self._path = os.fspath(path)
        self._options = (operator_library, threads, device)
        self.metadata = read_metadata(path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4  # what fails is raised, and told once
        # A plan of all memory is a second allocation beside those of the run that it was made from.
        options.enable_mem_pattern = False
        # A pool that spins after its run takes cores from whatever runs next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if self.metadata.precision == "int8":
            # Without VNNI the runtime's faster kernels saturate sums of two products, which flips
            # decisions; these are exact everywhere.
            options.add_session_config_entry("session.x64quantprecision", "1")
        if node_events is not None:
            options.enable_profiling = True
            options.profile_file_prefix = os.fspath(node_events)
        self.name = "onnxruntime"
        if operator_library is False and self.metadata.portable_name:
            raise IncompatibleArtifactError(
                f"{path} runs only with the operator library; without it run the portable graph "
                f"that it was built from, {self.metadata.portable_name}."
            )
        if operator_library is not False and self.metadata.operators:
            from adafuse_deploy.ops.library import register

            if device != "cpu":
                raise InputError(
                    f"The operator library runs on the CPU, not on {device}; leave out the device, "
                    "or run the function bodies there with operator_library=False."
                )
            register(options, None if operator_library is True else operator_library)
            self.name = "onnxruntime + operator library"
            self.skips_work = bool(self.metadata.gates)
        self._step = clips_at_once(self.metadata)
        self._names = list(self.metadata.outputs)
        providers = _providers(ort, device)
        try:
            self._session: onnxruntime.InferenceSession = ort.InferenceSession(
                os.fspath(path), options, providers=providers
            )
        except Exception as error:  # onnxruntime has no common class for its errors
            reason = str(error).rstrip(".")
            raise IncompatibleArtifactError(
                f"ONNX Runtime {ort.__version__} cannot run {path}: {reason}. It is damaged or of "
                "another version: make it again, or install the ONNX Runtime that adafuse-deploy "
                "was tested with."
            ) from error
        if self._session.get_providers()[0] != providers[0][0]:
            raise MissingDependencyError(
                f"ONNX Runtime could not start its {providers[0][0]}, probably because libraries "
                "of CUDA or cuDNN are missing or of another version; run on the CPU, or install "
                "those that its release notes name."
            )

    def run_forced(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Forced:
        library, threads, device = self._options
        with forced_graph(self._path, policies) as (path, shown):
            engine = OnnxRuntimeEngine(
                path, operator_library=library, threads=threads, device=device
            )
        with engine:
            engine._names += shown
            return engine._run_shown(frames, len(shown))

    def end_node_events(self) -> Path:
        """End ONNX Runtime's own profiler and return the file of events that it wrote.

        Of an engine that was opened with ``node_events``.
        """
        return Path(self._session.end_profiling())

    def _infer(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        names, step = self._names, self._step
        parts: list[Sequence[np.ndarray]] = [
            self._finish(self._session.run, names, {"frames": frames[first : first + step]})
            for first in range(0, len(frames), step)
        ]
        return (
            parts[0]
            if len(parts) == 1
            else [np.concatenate(part) for part in zip(*parts, strict=True)]
        )

    def _stepper(self, streams: int) -> Stepper:
        if self.metadata.mode != "stream":
            return super()._stepper(streams)
        return PingPong(self.metadata, streams, self._bind)

    def _bind(self, inputs: Arrays, outputs: Arrays) -> Callable[[], object]:
        binding = self._session.io_binding()
        for arrays, bind in ((inputs, binding.bind_input), (outputs, binding.bind_output)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        session = self._session
        return lambda: self._finish(session.run_with_iobinding, binding)

    def _finish(self, run: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a run gives; a graph that contradicts itself stops one."""
        try:
            return run(*arguments)
        except Exception as error:  # onnxruntime has no common class for its errors
            raise IncompatibleArtifactError(
                f"ONNX Runtime stopped while it ran {self._path}: {error}. Give it more memory if "
                "that is what it lacks; else the graph is damaged: export or build it again."
            ) from error

    def _release(self) -> None:
        del self._session


def clips_at_once(metadata: GraphMetadata) -> int:
    """Return how many clips a fused graph runs together; others take all.

    Eight frames of 224 x 224 are work enough for all threads, and more of them leave less of what
    one block gives in the processor's cache for the next.
    """
    if not metadata.portable_name:
        return sys.maxsize
    clip = math.prod(metadata.clip_shape) * _VALUE_BYTES[metadata.precision]
    return max(1, _CACHED_BYTES // clip)


def _providers(ort: Any, device: str) -> list[tuple[str, dict[str, str]]]:
    """Return the execution provider for a device, with its options."""
    kind, _, index = device.partition(":")
    if device == "cpu":
        return [("CPUExecutionProvider", {})]
    if kind != "cuda" or not (index or "0").isdecimal():
        raise InputError(f"The device is 'cpu', 'cuda' or 'cuda:<index>', not {device!r}.")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise MissingDependencyError(
            "This ONNX Runtime has no CUDA: pip uninstall onnxruntime, then pip install "
            "'adafuse-deploy[gpu]'; or run on the CPU."
        )
    # TensorFloat-32 rounds to 10 bits, which flips policies.
    return [("CUDAExecutionProvider", {"device_id": index or "0", "use_tf32": "0"})]

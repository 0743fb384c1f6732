"""Stand-ins for what no test machine has: an NVIDIA GPU, and the full TensorRT."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import onnxruntime

from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.sidecar import BatchProfile, Sidecar, sidecar_path


def write_engine(path: Path, content: bytes, metadata: GraphMetadata, **changes: Any) -> Sidecar:
    """Write an engine of the stand-in TensorRT with its sidecar."""
    path.write_bytes(content)
    values: dict[str, Any] = {
        "engine_sha256": sha256(path),
        "graph_sha256": "0" * 64,
        "backend": "tensorrt",
        "backend_version": FakeTensorRT.__version__,
        "precision": "fp32",
        "compute_capabilities": ("8.6",),
        "batch": BatchProfile(1, 1, 4),
        "metadata": metadata,
    }
    sidecar = Sidecar(**{**values, **changes})
    sidecar_path(path).write_text(sidecar.to_json())
    return sidecar


_INT, _UINT = ctypes.c_int, ctypes.c_uint
_SIZE, _POINTER, _ADDRESS = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_uint64
_TO_INT, _TO_POINTER, _TO_ADDRESS = map(ctypes.POINTER, (_INT, _POINTER, _ADDRESS))


class FakeDriver:
    """The driver of a machine with one GPU of compute capability 8.6 whose memory is the host's.

    Functions have the signatures of the CUDA driver API's reference and are called through them, so
    a wrong argument fails as it would with the real library.
    """

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.streams = 0
        self.capability = (8, 6)

        def function(*types: Any) -> Any:
            return ctypes.CFUNCTYPE(_INT, *types)

        self.cuDeviceGetCount = function(_TO_INT)(self._count)
        self.cuDeviceGet = function(_TO_INT, _INT)(self._device)
        self.cuDeviceGetName = function(_POINTER, _INT, _INT)(self._name)
        self.cuDeviceGetAttribute = function(_TO_INT, _INT, _INT)(self._attribute)
        self.cuDevicePrimaryCtxRetain = function(_TO_POINTER, _INT)(lambda context, device: 0)
        self.cuCtxSetCurrent = function(_POINTER)(lambda context: 0)
        self.cuStreamCreate = function(_TO_POINTER, _UINT)(self._create_stream)
        self.cuStreamSynchronize = function(_POINTER)(lambda stream: 0)
        self.cuStreamDestroy_v2 = function(_POINTER)(self._destroy_stream)
        self.cuMemAlloc_v2 = function(_TO_ADDRESS, _SIZE)(self._allocate)
        self.cuMemFree_v2 = function(_ADDRESS)(self._free)
        self.cuMemcpyHtoDAsync_v2 = function(_ADDRESS, _POINTER, _SIZE, _POINTER)(self._copy)
        self.cuMemcpyDtoHAsync_v2 = function(_POINTER, _ADDRESS, _SIZE, _POINTER)(self._copy)

    def cuGetErrorString(self, status: int, text: Any) -> int:
        text._obj.value = b"out of memory"
        return 0

    def _count(self, count: Any) -> int:
        count[0] = 1
        return 0

    def _device(self, device: Any, index: int) -> int:
        device[0] = index
        return 0

    def _name(self, text: int, size: int, device: int) -> int:
        ctypes.memmove(text, b"Test GPU\0", 9)
        return 0

    def _attribute(self, value: Any, key: int, device: int) -> int:
        value[0] = self.capability[key - 75]
        return 0

    def _create_stream(self, stream: Any, flags: int) -> int:
        self.streams += 1
        stream[0] = 4096
        return 0

    def _destroy_stream(self, stream: int) -> int:
        assert stream == 4096
        self.streams -= 1
        return 0

    def _allocate(self, address: Any, size: int) -> int:
        if size > 1 << 40:
            return 2  # CUDA_ERROR_OUT_OF_MEMORY
        memory = ctypes.create_string_buffer(size)
        address[0] = ctypes.addressof(memory)
        self.memory[address[0]] = memory
        return 0

    def _free(self, address: int) -> int:
        del self.memory[address]
        return 0

    def _copy(self, target: int, source: int, size: int, stream: int) -> int:
        assert stream == 4096
        ctypes.memmove(target, source, size)
        return 0


class FakeContext:
    """Runs the graph that stands for the engine, from and to the addresses that were bound."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._addresses: dict[str, int] = {}
        self._batch = 0

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self._batch = shape[0]
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        values = (*self._session.get_inputs(), *self._session.get_outputs())
        (value,) = (value for value in values if value.name == name)
        return (self._batch, *value.shape[1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        shape = self.get_tensor_shape("frames")
        frames = np.empty(shape, np.float32)
        ctypes.memmove(frames.ctypes.data, self._addresses["frames"], frames.nbytes)
        names = [output.name for output in self._session.get_outputs()]
        for name, value in zip(names, self._session.run(names, {"frames": frames}), strict=True):
            value = np.ascontiguousarray(value)
            ctypes.memmove(self._addresses[name], value.ctypes.data, value.nbytes)
        return True


class FakeRuntime:
    """Deserialises "engines" that are ONNX files."""

    engine_host_code_allowed = False

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, content: bytes) -> Any:
        FakeTensorRT.deserialised += 1
        FakeTensorRT.host_code_allowed = self.engine_host_code_allowed
        try:
            session = onnxruntime.InferenceSession(content)
        except Exception as error:
            self._logger.log(self._logger.ERROR, str(error)[:80])
            return None
        values = (*session.get_inputs(), *session.get_outputs())
        types = {value.name: value.type for value in values}
        return SimpleNamespace(
            create_execution_context=lambda: FakeContext(session),
            get_tensor_dtype=types.__getitem__,
        )


class FakeConfig:
    """Records what a builder asks for."""

    last: FakeConfig

    def __init__(self) -> None:
        FakeConfig.last = self
        self.cleared: list[str] = []
        self.pools: dict[str, int] = {}
        self.profiles: list[Any] = []
        self.progress_monitor: Any = None
        self.hardware_compatibility_level = "none"
        self.cache = b""
        self.flags: list[str] = []
        self.plugins_to_serialize: list[str] = []

    def set_flag(self, flag: str) -> None:
        self.flags.append(flag)

    def clear_flag(self, flag: str) -> None:
        self.cleared.append(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.pools[pool] = size

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles.append(profile)
        return 0

    def create_timing_cache(self, content: bytes) -> bytes:
        return content

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return cache in (b"", b"timings")

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: b"timings")


class FakeProfile:
    """Records the shapes of an optimisation profile."""

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.name, self.shapes = name, shapes


class FakeBuilder:
    """Serialises a network as the ONNX file it was parsed from; fails on request."""

    fails = False

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def create_network(self, flags: int) -> Any:
        assert flags == 1 << 1
        return SimpleNamespace(
            content=b"",
            get_input=lambda index: SimpleNamespace(name="frames", shape=(-1, 4, 3, 32, 32)),
        )

    def create_builder_config(self) -> FakeConfig:
        return FakeConfig()

    def create_optimization_profile(self) -> FakeProfile:
        return FakeProfile()

    def build_serialized_network(self, network: Any, config: FakeConfig) -> bytes | None:
        if self.fails:
            self._logger.log(self._logger.ERROR, "requested 9 GiB of 8 GiB")
            return None
        return network.content


class FakeParser:
    """Accepts anything."""

    def __init__(self, network: Any, logger: Any) -> None:
        self._network = network

    def parse(self, content: bytes) -> bool:
        self._network.content = content
        return True


class FakeLogger:
    """What trt.ILogger is."""

    INTERNAL_ERROR, ERROR, WARNING = range(3)


class FakeRegistry:
    """Takes plugin libraries that say that they are some."""

    def __init__(self) -> None:
        self.all_creators: list[Any] = []

    def load_library(self, path: str) -> object | None:
        if Path(path).read_bytes() != b"plugins":
            return None
        FakeTensorRT.loaded.append(path)
        self.all_creators.append(
            SimpleNamespace(name="GatedResidualBlock", plugin_namespace="ai.adafuse")
        )
        return object()


class FakeTensorRT(ModuleType):
    """A module with the part of TensorRT's API that engines use."""

    __version__ = "10.13.0.35"
    deserialised = 0
    loaded: ClassVar[list[str]] = []
    host_code_allowed = False

    ILogger = FakeLogger
    IProgressMonitor = object
    Builder = FakeBuilder
    OnnxParser = FakeParser
    Runtime = FakeRuntime
    BuilderFlag = SimpleNamespace(TF32="tf32", VERSION_COMPATIBLE="version compatible")
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    HardwareCompatibilityLevel = SimpleNamespace(
        AMPERE_PLUS="ampere", SAME_COMPUTE_CAPABILITY="same"
    )
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        registry = FakeRegistry()
        self.get_plugin_registry = lambda: registry

    @staticmethod
    def nptype(name: str) -> type:
        return {"tensor(float)": np.float32, "tensor(int32)": np.int32}[name]

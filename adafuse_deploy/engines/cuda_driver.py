"""The little of CUDA that running an engine takes, through the driver that every GPU comes with.

No CUDA toolkit and no CUDA build of PyTorch is needed.  Calls are the driver API's, by the names
its library exports (CUDA Driver API reference: initialisation, device, primary context, memory and
stream management).
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import numpy as np

from adafuse_deploy.core.errors import InputError, MissingDependencyError

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@functools.cache
def driver() -> Any:
    """Load the driver's library and initialise it.

    Raises:
        MissingDependencyError: there is no NVIDIA driver, or it sees no usable GPU.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise MissingDependencyError(
            f"There is no NVIDIA GPU here, or no driver for it ({error}); run on a machine with "
            "one, or run model.onnx on the CPU."
        ) from error
    try:
        _call(library, "cuInit", 0)
    except RuntimeError as error:
        raise MissingDependencyError(
            f"The NVIDIA driver finds no usable GPU ({error}); run on a machine with one, or run "
            "model.onnx on the CPU."
        ) from error
    return library


def _call(library: Any, function: str, *arguments: Any) -> None:
    """Call a function of the driver; raise RuntimeError with the driver's words if it fails."""
    status = getattr(library, function)(*arguments)
    if status:
        text = ctypes.c_char_p()
        library.cuGetErrorString(status, ctypes.byref(text))
        message = (text.value or b"unknown error").decode()
        raise RuntimeError(f"{function}: {message} (CUDA error {status})")


class Gpu:
    """One GPU.

    Args:
        index: among the GPUs the driver shows.

    Attributes:
        name: such as "NVIDIA GeForce RTX 3080".
        compute_capability: such as "8.6".

    Raises:
        MissingDependencyError: there is no driver or no GPU.
        InputError: there is none of that index.
    """

    def __init__(self, index: int = 0) -> None:
        self._driver = driver()
        self._context: ctypes.c_void_p | None = None
        count = ctypes.c_int()
        self.call("cuDeviceGetCount", ctypes.byref(count))
        if index >= count.value:
            raise InputError(f"There is no GPU {index}; this machine has {count.value}.")
        self._device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self._device), index)
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), self._device)
        self.name = name.value.decode()
        self.compute_capability = f"{self._attribute(_MAJOR)}.{self._attribute(_MINOR)}"

    def activate(self) -> None:
        """Make the GPU's primary context, CUDA's own default, current in the calling thread."""
        if self._context is None:
            context = ctypes.c_void_p()
            self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
            self._context = context
        self.call("cuCtxSetCurrent", self._context)

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function of the driver API; raises RuntimeError if it fails."""
        _call(self._driver, function, *arguments)

    def _attribute(self, key: int) -> int:
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), key, self._device)
        return value.value


class Stream:
    """A queue of copies and kernels on the active GPU; ``handle`` is its CUstream."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        stream = ctypes.c_void_p()
        gpu.call("cuStreamCreate", ctypes.byref(stream), 0)
        self.handle = stream.value or 0

    def upload(self, address: int, array: np.ndarray) -> None:
        """Queue the copy of a C-contiguous array to device memory."""
        self._gpu.call("cuMemcpyHtoDAsync_v2", *_copy(address, array), self._argument)

    def download(self, array: np.ndarray, address: int) -> None:
        """Queue the copy of device memory into a C-contiguous array."""
        target, source, size = _copy(address, array)
        self._gpu.call("cuMemcpyDtoHAsync_v2", source, target, size, self._argument)

    def synchronize(self) -> None:
        """Wait until everything queued is done."""
        self._gpu.call("cuStreamSynchronize", self._argument)

    def close(self) -> None:
        """Destroy the stream."""
        self._gpu.call("cuStreamDestroy_v2", self._argument)

    @property
    def _argument(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.handle)


def _copy(
    address: int, array: np.ndarray
) -> tuple[ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t]:
    """Return device address, host address and size in bytes as a copy takes them."""
    return (
        ctypes.c_uint64(address),
        ctypes.c_void_p(array.ctypes.data),
        ctypes.c_size_t(array.nbytes),
    )


class Buffer:
    """Memory of ``size`` bytes on the active GPU; ``address`` is its CUdeviceptr."""

    def __init__(self, gpu: Gpu, size: int) -> None:
        self._gpu = gpu
        address = ctypes.c_uint64()
        gpu.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        self.address = address.value

    def close(self) -> None:
        """Free the memory."""
        self._gpu.call("cuMemFree_v2", ctypes.c_uint64(self.address))

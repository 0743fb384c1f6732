"""GPU kernels of the conditional convolutions, written once in Triton.

PyTorch compiles them when they are first called (:mod:`.launch`); ``python -m
adafuse_deploy.ops.triton.compile`` compiles them ahead of time for the TensorRT plugin and any
other program that launches through the CUDA driver.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def serve(x: Tensor) -> bool:
    """Whether the kernels take a convolution of ``x``: Triton is there and knows the type."""
    import torch  # plans of whole blocks need none

    return _installed() and x.dtype in (torch.float16, torch.bfloat16, torch.float32)

"""PyTorch: the network itself, with normalisations merged.  Every channel is computed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.stepper import Stepper

if TYPE_CHECKING:
    import torch

    from adafuse_deploy.models.recognizer import VideoRecognizer


class TorchEngine(Engine):
    """A network in PyTorch.

    Args:
        model: as trained; it is not changed.
        checkpoint_sha256: hash of the file it came from, if it came from one.
        threads: of PyTorch in this process; None leaves them as they are.
        device: as for ``torch.device``.
        precision: "fp32" or "bf16", of everything including the decisions.

    Raises:
        InputError: the device is not there, or an unknown precision.
    """

    name = "torch"

    def __init__(
        self,
        model: VideoRecognizer,
        checkpoint_sha256: str = "",
        *,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        torch = BACKENDS["torch"].load()
        from adafuse_deploy.models.metadata import metadata_of

        if precision not in ("fp32", "bf16"):
            raise InputError(f"PyTorch computes in 'fp32' or 'bf16' here, not in {precision!r}.")
        self.metadata = metadata_of(model, checkpoint_sha256)
        if threads:
            torch.set_num_threads(threads)
        try:
            self._device = torch.device(device)
            self._model = model.deployed().to(self._device)
            if precision == "bf16":
                # Channels last is the layout of oneDNN's bf16 convolutions.
                self._model.bfloat16()
                for parameter in self._model.parameters():
                    if parameter.ndim == 4:
                        parameter.data = parameter.data.contiguous(
                            memory_format=torch.channels_last
                        )
            self._type = torch.bfloat16 if precision == "bf16" else torch.float32
        except (RuntimeError, AssertionError) as error:  # what PyTorch raises without CUDA
            raise InputError(f"PyTorch cannot use the device {device!r}: {error}") from error

    def _infer(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        import torch

        with torch.inference_mode(), _full_float32(self._device):
            output = self._model(torch.from_numpy(frames).to(self._device, self._type))
        numbers = [tensor.float() for tensor in output[:2]]
        return [tensor.cpu().numpy() for tensor in (*numbers, *output.policies)]

    def _stepper(self, streams: int) -> Stepper:
        return _TorchStepper(self._model, self._device, self._type, streams)

    def _release(self) -> None:
        del self._model


_SETTINGS = threading.Lock()


@contextmanager
def _full_float32(device: torch.device) -> Iterator[None]:
    """Keep a GPU from TensorFloat-32, which rounds to 10 bits and so flips policies.

    That is a setting of the whole process: one thread at a time may change it.
    """
    import torch

    if device.type == "cpu":
        yield
        return
    with _SETTINGS, torch.backends.cudnn.flags(allow_tf32=False):
        yield


class _TorchStepper:
    """Some streams in PyTorch."""

    def __init__(
        self, model: VideoRecognizer, device: torch.device, kind: torch.dtype, streams: int
    ) -> None:
        import torch

        self._model, self._device, self._type = model, device, kind
        kinds = {"float32": kind, "int32": torch.int32}
        self._state = [
            torch.zeros(streams, *entry.shape, dtype=kinds[entry.dtype], device=device)
            for entry in model.state()
        ]
        self.state_bytes = sum(tensor.nbytes for tensor in self._state) // streams

    def step(self, frames: np.ndarray) -> list[np.ndarray]:
        import torch

        with torch.inference_mode(), _full_float32(self._device):
            frame = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device, self._type)
            output, self._state = self._model.step(frame, self._state)
        logits = output.frame_logits.float()
        return [tensor[:, 0].cpu().numpy() for tensor in (logits, *output.policies)]

    def reset(self, streams: int | slice) -> None:
        import torch

        with torch.inference_mode():
            for tensor in self._state:
                tensor[streams] = 0

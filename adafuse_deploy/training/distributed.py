"""The processes that train together: one, or as many as ``torchrun`` started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from adafuse_deploy.core.errors import InputError


@dataclass(frozen=True)
class Processes:
    """This process among its peers.

    Attributes:
        rank: its number, from 0; process 0 writes files and reports.
        count: how many there are.
        device: where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0


@contextmanager
def processes(device: str = "") -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, if it did, until the block ends.

    Args:
        device: as :func:`choose_device`; "cuda" gives each process of a machine its own GPU.

    Raises:
        InputError: the device is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device)
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), count, chosen)
    finally:
        dist.destroy_process_group()


def choose_device(name: str = "") -> torch.device:
    """Return the device ``name``; empty means CUDA where there is a GPU, else the CPU.

    Raises:
        InputError: there is no such device.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"PyTorch cannot use the device {name!r} here ({str(error).splitlines()[0]}); "
            "leave out --device to take what there is."
        ) from error
    return device

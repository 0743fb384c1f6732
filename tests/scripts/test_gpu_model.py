"""The model of GPUs, with made-up machine code."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import gpu_model

from adafuse_deploy.ops.triton.sass import Code, Loop

CODE = Code(1000, (Loop(100, 8), Loop(100, 8)), {16: 8})


class Codes(dict[str, Code]):
    """The same code for every kernel."""

    def __missing__(self, name: str) -> Code:
        return self.get("all", CODE)


def test_dense_network_is_known() -> None:
    """4.1 G multiply-accumulates a frame on tensor cores alone, 69 launches and shifts."""
    gpu = replace(gpu_model.GPUS["H200"], memory=1e9, l2_rate=1e9, launch=0.0)
    time = gpu_model.Model(gpu, Codes()).dense(1)
    assert abs(time * gpu.tflops * 1e6 / 2 / 8 - 4.1e9) < 0.1e9
    half, int8 = (gpu_model.Model(gpu, Codes(), bits).dense(2) for bits in (16, 8))
    assert int8 == half / 2
    slow = replace(gpu, launch=1.0)
    assert round(gpu_model.Model(slow, Codes()).dense(1) - time) == 2 + 16 * 4 + 4


def test_time_follows_channels_code_and_limits() -> None:
    gpu = gpu_model.GPUS["Orin"]
    model = gpu_model.Model(gpu, Codes())
    mixes = [(0.0, 0.0), (0.232, 0.172), (1.0, 0.0)]
    times = [model.blocks(1, mix, True)[0] for mix in mixes]
    assert times == sorted(times) and times[0] < times[1] < times[2]
    assert model.blocks(1, mixes[1], False)[0] <= times[1]
    slower = gpu_model.Model(gpu, Codes(all=replace(CODE, instructions=20000)))
    assert slower.blocks(1, mixes[1], True)[0] > times[1]
    total, launches = model.blocks(1, mixes[1], True)
    assert len(launches) + gpu_model.LAUNCHES_AROUND <= 90
    assert all(one["bytes"] > 0 for one in launches)
    rest = total - sum(one["microseconds"] for one in launches)
    assert 0 < rest < total / 2  # the stem


def test_lists_are_padded() -> None:
    computed, stored, read = gpu_model.listed(64, (1.0, 0.0))
    assert set(computed) == set(stored) == set(read) == {64}
    assert not any(array.any() for array in gpu_model.listed(64, (0.0, 0.0)))

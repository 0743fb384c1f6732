"""Plans: the file that the plugin library's tests read, and which blocks have compiled kernels."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("triton")
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.ops.triton.block.compiled import why_not
from adafuse_deploy.ops.triton.block.plan import Block, Launch, Shift, plan_block, sums_of_block
from adafuse_deploy.ops.triton.block.run import run_block, sum_frames
from adafuse_deploy.ops.triton.block.variants import block_variants, name_of
from tests.ops.triton.block import block_values

sys.path.insert(0, str(Path(__file__).parents[4] / "scripts"))
import make_plan_vectors

VALUES = json.loads(block_values.FILE.read_text())["cases"]
VARIANTS = {variant.name: variant for variant in block_variants(["fp16", "fp32"], ["fp16", "fp32"])}


def test_vectors_are_what_is_planned() -> None:
    stored = json.loads(make_plan_vectors.FILE.read_text())["cases"]
    planned = [json.loads(json_text(case)) for case in make_plan_vectors.cases()]
    assert stored == planned
    # Both kinds, types and strides, shortcuts of all sorts, gates with and without sums.
    blocks = [case["block"] for case in stored]
    for key in ("kind", "dtype", "stride", "project", "shift_shortcut", "hidden"):
        assert len({block[key] for block in blocks}) > 1, key
    assert {case["summed"] for case in stored} == {True, False}


def check_compiled(launch: Launch, block: Block) -> None:
    """A launch finds a compiled kernel that relies on nothing else than it keeps."""
    gate = launch.kernel[1].startswith("gate_")
    dtype = block.gate_dtype if gate else block.dtype
    variant = VARIANTS[name_of(launch.kernel[1], dtype, dict(launch.constants))]
    constants = dict(launch.constants)
    if not constants.get("SHIFT", True):
        constants["FOLD"] = variant.constants["FOLD"]  # counts nothing
    assert constants == variant.constants
    assert (launch.warps, launch.stages) == (variant.warps, variant.stages)
    for name in variant.aligned:
        value = launch.arguments[name]
        assert isinstance(value, str) or value % 16 == 0, name


def test_served_blocks_have_kernels() -> None:
    served = 0
    for kind, dtype, channels, inputs, stride, size in [
        (kind, dtype, channels, inputs, stride, size)
        for kind in ("bottleneck", "basic")
        for dtype in ("fp16", "fp32")
        for channels in (32, 64, 128, 192, 256, 512)
        for inputs in (64, 96, 256, 320)
        for stride in (1, 2)
        for size in (2, 7, 15, 56)
    ]:
        outputs = 4 * channels if kind == "bottleneck" else channels
        project = stride == 2 or inputs != outputs
        for shift, hidden, clips in ((Shift(8, 16), 64, 1), (Shift(), 0, 20)):
            block = Block(
                kind, inputs, channels, outputs, stride, project, shift, hidden=hidden,
                dtype=dtype, gate_dtype=dtype,
            )  # fmt: skip
            if why_not(block, size, size, clips, 3) is not None:
                continue
            served += 1
            x = block.input(size, size)
            sums = sums_of_block(x, clips * 3, dtype) if hidden else None
            for launch in plan_block(block, size, size, clips, 3, sums).launches:
                check_compiled(launch, block)
    assert served > 300


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 96}, "multiples of 64, and at most 512 inside a block"),
        ({"channels": 576}, "at most 512"),
        ({"channels_in": 32}, "multiples of 64"),
        ({"channels_out": 320}, "320 outputs fill no tiles of 128"),
        ({"shift": Shift(4, 8)}, "multiples of 8"),
        ({"hidden": 24}, "16 hidden units, not 24"),
        ({"hidden": 64, "history": False}, "look at the frame before"),
    ],
)
def test_what_has_no_kernels(changes: dict[str, object], words: str) -> None:
    block = Block("bottleneck", 256, 64, 256)
    assert why_not(block, 14, 14, 2, 4) is None
    reason = why_not(replace(block, **changes), 14, 14, 2, 4)  # type: ignore[arg-type]
    assert reason is not None and words in reason
    basic = replace(block, kind="basic", channels_out=64, project=True)
    assert "has stride 2" in str(why_not(basic, 14, 14, 2, 4))
    assert "too small" in str(why_not(block, 2, 2, 2, 4))
    assert "batches of at most 16383 clips" in str(why_not(block, 2, 14, 20000, 4))
    assert "smaller batches" in str(why_not(block, 224, 224, 1000, 60))


@pytest.mark.parametrize(
    ("index", "dtype"),
    [
        (3, "fp16"),
        *(pytest.param(index, "fp16", marks=pytest.mark.slow) for index in range(3)),
        pytest.param(1, "fp32", marks=pytest.mark.slow),
    ],
)
def test_values_that_the_plugin_is_held_to_on_a_gpu(index: int, dtype: str) -> None:
    """The kernels in the interpreter give what PyTorch does, exactly."""
    case = VALUES[index]
    a, rows = case["block"], case["clips"] * case["block"]["frames"]
    given = block_values.inputs(a, rows)
    assert {name: block_values.checksum(values) for name, values in given.items()} == case["inputs"]
    block = Block(
        "bottleneck" if a["bottleneck"] else "basic", a["channels_in"], a["channels"],
        a["channels_out"], a["stride"], bool(a["project"]),
        Shift(a["shift_next"], a["shift_next"] + a["shift_previous"]), bool(a["shift_shortcut"]),
        hidden=a["hidden"], dtype=dtype, gate_dtype=dtype,
    )  # fmt: skip
    stored = {"fp16": torch.float16, "fp32": torch.float32}[dtype]
    weights = {
        name: torch.from_numpy(values).to(torch.float32 if "bias" in name else stored)
        for name, values in given.items()
        if name not in ("x", "policy")
    }
    frames = block_values.frames_of(a, given["x"].astype(np.float32))
    x, size = torch.from_numpy(frames).to(stored), (a["height"], a["width"])
    policy = given.get("policy")
    result = run_block(
        block, weights, x, size, a["frames"],
        None if policy is None else torch.from_numpy(policy.reshape(rows, -1)).int(),
        sum_frames(x, block.input(*size)) if block.hidden else None,
    )  # fmt: skip
    maps = block_values.maps_of(a, result.frames.numpy())
    assert block_values.checksum(maps) == case["y"]
    assert result.policy is not None
    assert block_values.checksum(result.policy.numpy()) == case["policy"]

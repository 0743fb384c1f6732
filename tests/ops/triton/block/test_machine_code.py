"""The block kernels' machine code, counted: no GPU is needed for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")
from adafuse_deploy.ops.triton import sass
from adafuse_deploy.ops.triton.block.plan import Block, Plan, Shift, SumsLayout, plan_block
from adafuse_deploy.ops.triton.block.variants import block_variants, name_of

LARGE = "128x128x64_fp16"
K_LOOP = {80: 90, 87: 90, 90: 67}
"""Instructions per 128 x 64 x 32 products, per scheduler; tensor cores take 256, 512 and 128 cycles
for them."""


def compiled(folder: Path, match: str, target: int) -> list[tuple[dict[str, Any], Path]]:
    """Compile block kernels without the tests' interpreter; return manifest entries and cubins."""
    variables = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "adafuse_deploy.ops.triton.compile"]
    command += ["-o", str(folder), "--match", match, "--target", str(target), "--jobs", "1"]
    command += ["--dtype", "fp16"]
    result = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert result.returncode == 0, result.stderr
    kernels = json.loads((folder / "manifest.json").read_text())["kernels"]
    return [(kernel, folder / kernel["cubins"][str(target)]["file"]) for kernel in kernels]


def check(entry: dict[str, Any], cubin: Path, target: int) -> sass.Code:
    """Check what holds for every kernel that multiplies; return its code."""
    said = entry["cubins"][str(target)]
    assert said["stack_bytes"] == 0 and said["shared_bytes"] <= 99 * 1024
    code = sass.disassemble(cubin)
    assert set(code.stores) == {16}
    sizes = entry["constants"]
    work = sizes["BLOCK_M"] * sizes["BLOCK_N"] * sizes["BLOCK_K"] / (128 * 64 * 32)
    (loop,) = code.products
    assert loop.instructions * entry["num_warps"] / 4 / work <= K_LOOP[target]
    return code


@pytest.mark.parametrize(
    ("target", "match"),
    [
        (87, f"outputs_taps1_stride1_unit8_fold8_{LARGE}"),
        (87, f"inputs_stride1_unit8_{LARGE}"),
        (80, f"last_stride1_{LARGE}"),
        *(
            pytest.param(target, match, marks=pytest.mark.slow)
            for target in (80, 90)
            for match in (
                f"outputs_taps1_stride1_unit8_fold8_{LARGE}",
                f"outputs_taps9_stride1_unit8_fold8_{LARGE}",
                f"inputs_stride1_unit8_{LARGE}",
                f"inputs_end_stride1_unit8_{LARGE}",
            )
        ),
        pytest.param(90, f"last_stride1_{LARGE}", marks=pytest.mark.slow),
    ],
)
def test_large_tiles(target: int, match: str, tmp_path: Path) -> None:
    ((entry, cubin),) = compiled(tmp_path, match, target)
    code = check(entry, cubin, target)
    if "conv_last" in entry["name"]:
        assert code.outside < 950


@pytest.mark.slow
@pytest.mark.parametrize("match", ["gate", "lists", "sum_frames"])
def test_gates_do_not_spill(match: str, tmp_path: Path) -> None:
    for entry, cubin in compiled(tmp_path, match, 87):
        assert entry["cubins"]["87"]["stack_bytes"] == 0, entry["name"]
        assert sass.disassemble(cubin).instructions


def resnet50(dtype: str, clips: int) -> list[tuple[Block, Plan]]:
    """Return the blocks of AdaFuse TSM ResNet-50 at 224 x 224, 8 frames, with their plans."""
    found: list[tuple[Block, Plan]] = []
    channels, size, sums = 64, 56, SumsLayout(56 * 56, 256)
    for stage, depth in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for index in range(depth):
            stride = 2 if stage and not index else 1
            block = Block(
                "bottleneck", channels, width, 4 * width, stride, index == 0,
                Shift.of("bidirectional", channels), hidden=1024, dtype=dtype,
            )  # fmt: skip
            plan = plan_block(block, size, size, clips, 8, sums)
            found.append((block, plan))
            assert plan.sums is not None
            channels, size, sums = 4 * width, size // stride, plan.sums
    return found


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("clips", [1, 16])
def test_resnet50_takes_90_launches_and_only_compiled_kernels(dtype: str, clips: int) -> None:
    blocks = resnet50(dtype, clips)
    names = {variant.name for variant in block_variants([dtype], ["fp16"])}
    launches = [launch for _, plan in blocks for launch in plan.launches]
    for launch in launches:
        stored = "fp16" if launch.kernel[0] == "gate" else dtype
        assert name_of(launch.kernel[1], stored, dict(launch.constants)) in names
    # Stem, its pooling, the first gate's sums, means over space, classifier, consensus.
    assert len(launches) + 6 <= 90


def test_names_are_unique() -> None:
    names = [variant.name for variant in block_variants(["fp16", "bf16", "fp32"], ["fp16"])]
    assert len(set(names)) == len(names)

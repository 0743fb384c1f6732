"""Write tests/vectors/block_plans.json: plans of residual blocks, which the plugin library makes.

    python scripts/make_plan_vectors.py

Answers are those of adafuse_deploy/ops/triton/block/plan.py, which tests of the kernels execute; a
test holds the file to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.sizes import round_up
from adafuse_deploy.ops.triton.block.frames import BYTES
from adafuse_deploy.ops.triton.block.plan import (
    Block,
    Launch,
    Plan,
    Shift,
    SumsLayout,
    plan_block,
    plan_sums,
    sums_of_block,
)
from adafuse_deploy.ops.triton.block.variants import name_of

FILE = Path(__file__).parents[1] / "tests" / "vectors" / "block_plans.json"
ALIGNMENT = 256
"""Bytes from which parts of the workspace begin."""

RESULTS = ("y", "sums", "policy")


def blocks() -> Iterator[tuple[Block, int, int]]:
    """Yield blocks of ResNets, and height and width of what they read."""
    for stage, (channels, size) in enumerate([(64, 56), (128, 28), (256, 14), (512, 7)]):
        shift = Shift.of("bidirectional", 4 * channels)
        wide = Block("bottleneck", 4 * channels, channels, 4 * channels, shift=shift)
        yield wide, size, size
        entry = channels if stage == 0 else 2 * channels
        stride = 1 if stage == 0 else 2
        yield (
            replace(
                wide,
                channels_in=entry,
                stride=stride,
                project=True,
                shift=Shift.of("bidirectional", entry),
                shift_shortcut=stage % 2 == 0,
            ),
            stride * size,
            stride * size,
        )
        basic = Block("basic", channels, channels, channels, shift=Shift.of("online", channels))
        yield basic, size, size + 1
        if stage:
            yield (
                replace(basic, channels_in=channels // 2, stride=2, project=True, shift=Shift()),
                2 * size,
                2 * size - 1,
            )


def cases() -> Iterator[dict[str, Any]]:
    """Yield every block in both types, with and without a gate of its own, for some batches."""
    batches = [(1, 8), (16, 8), (3, 5), (40, 1)]
    for index, (block, height, width) in enumerate(blocks()):
        for dtype in ("fp16", "fp32"):
            for step, hidden in enumerate((1024, 64, 0)):
                if dtype == "fp32" and step != index % 3:
                    continue
                clips, frames = batches[(index + step) % len(batches)]
                actions = (0, 1) if index % 3 == 1 and hidden == 64 else (0, 1, 2)
                made = replace(block, dtype=dtype, gate_dtype=dtype, hidden=hidden, actions=actions)
                yield case(made, height, width, clips, frames, hidden == 1024)


def case(
    block: Block, height: int, width: int, clips: int, frames: int, summed: bool
) -> dict[str, Any]:
    """Return a block, and its launches and workspace for a batch.

    Args:
        summed: whether the block before left sums over pixels.
    """
    rows = clips * frames
    x = block.input(height, width)
    parts: list[Plan] = []
    sums: SumsLayout | None = None
    if block.hidden and summed:
        sums = sums_of_block(x, rows, block.dtype)
    elif block.hidden:
        parts.append(plan_sums(x, rows))
        sums = parts[0].sums
    parts.append(plan_block(block, height, width, clips, frames, sums))
    launches, sizes = [], []
    for part in parts:
        for name, (shape, kind) in part.buffers.items():
            if name not in RESULTS or part is not parts[-1]:
                sizes.append(math.prod(shape) * _bytes(kind, block))
        launches += [_described(launch, block, part is parts[-1]) for launch in part.launches]
    return {
        "block": {key: value for key, value in asdict(block).items() if key != "gated"},
        **{"height": height, "width": width, "clips": clips, "frames": frames, "summed": summed},
        "launches": launches,
        "workspace": sum(round_up(size, ALIGNMENT) for size in sizes),
        "sums": asdict(sums_of_block(block.output(height, width), rows, block.dtype)),
    }


def _bytes(kind: str, block: Block) -> int:
    return BYTES[block.dtype] if kind == "stored" else 4


def _described(launch: Launch, block: Block, of_block: bool) -> dict[str, Any]:
    gate = launch.kernel[1].startswith("gate_")
    arguments = dict(launch.arguments)
    if not of_block:
        arguments["sums"] = "x_sums"
    return {
        "kernel": name_of(
            launch.kernel[1], block.gate_dtype if gate else block.dtype, dict(launch.constants)
        ),
        "grid": [*launch.grid, 1, 1][:3],
        "threads": 32 * launch.warps,
        "arguments": arguments,
    }


def main() -> None:
    lines = ",\n  ".join(json_text(case) for case in cases())
    source = '"source": "adafuse_deploy/ops/triton/block/plan.py"'
    FILE.write_text(f'{{\n {source},\n "cases": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()

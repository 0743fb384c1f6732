"""A model, not a measurement: milliseconds of AdaFuse TSM ResNet-50 on GPUs, from compiled kernels.

Compiles the block kernels that the network launches, counts their instructions and prints, per GPU
and number of clips, a dense network in fp16 and INT8 beside the blocks in fp16.

- Dense: every layer takes the longer of memory and tensor cores at effective rates, plus a launch;
  bias, ReLU and residual are fused, the temporal shift is a pass of its own.
- Blocks: every launch of the plan takes the longest of issued instructions, tensor cores, bytes
  from memory and from L2 (an estimate; the second figure leaves it out), plus a launch.
- Every implementation may cut its batch into pieces that stay in L2.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from page import table

from adafuse_deploy.benchmark.mixes import MIXES
from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.ops.triton import sass
from adafuse_deploy.ops.triton.block.plan import (
    Block,
    Launch,
    Plan,
    Shift,
    SumsLayout,
    plan_block,
)

T = 8
STAGES = [(64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)]
HIDDEN = 1024
ISSUE = 0.8
"""Share of issue slots that a good kernel fills; an assumption."""

PIECES = (1, 2, 4, 8, 16)
"""Clips that an implementation may take at a time."""

LAUNCHES_AROUND = 6
"""Stem, its pooling, the first gate's sums, means over space, classifier, consensus."""


@dataclass(frozen=True)
class Gpu:
    """Effective rates: assumptions, from public measurements and data sheets.

    Attributes:
        tflops: fp16 tensor cores; twice that in INT8.
        memory: GB/s.
        l2: MB.
        processors: multiprocessors.
        ghz: their clock.
        launch: microseconds.
        l2_rate: GB/s from L2 to multiprocessors.
        target: the code that it runs.
    """

    tflops: float
    memory: float
    l2: float
    processors: int
    ghz: float
    launch: float
    l2_rate: float
    target: int


GPUS = {
    "H200": Gpu(620, 4300, 60, 132, 1.75, 1.5, 6500, 90),
    "H100": Gpu(620, 2900, 50, 132, 1.7, 1.5, 6500, 90),
    "A100": Gpu(230, 1700, 40, 108, 1.35, 2.0, 4500, 80),
    "L4": Gpu(75, 260, 48, 58, 1.4, 2.0, 1500, 89),
    "Orin": Gpu(28, 165, 4, 16, 1.3, 4.0, 500, 87),
}


@functools.cache
def network(clips: int) -> list[tuple[int, int, Block, Plan]]:
    """Return height, width of output, block and plan of every block, for ``clips`` clips."""
    found = []
    channels, size, sums = 64, 56, SumsLayout(56 * 56, 256)
    for width, depth, out in STAGES:
        for index in range(depth):
            stride = size // out
            block = Block(
                "bottleneck", channels, width, 4 * width, stride, index == 0,
                Shift.of("bidirectional", channels), hidden=HIDDEN,
            )  # fmt: skip
            plan = plan_block(block, size, size, clips, T, sums)
            assert plan.sums is not None
            found.append((size, out, block, plan))
            channels, size, sums = 4 * width, out, plan.sums
    return found


@functools.cache
def listed(channels: int, mix: tuple[float, float], unit: int = 8) -> tuple[np.ndarray, ...]:
    """Return channels per frame that are computed, stored and read, padding included."""
    keep, reuse = mix
    drawn = np.random.default_rng(0).choice(3, (64, T, channels), p=(keep, reuse, 1 - keep - reuse))
    lent = np.zeros_like(drawn, bool)
    lent[:, :-1] = drawn[:, 1:] == 1
    kept, borrowed = drawn == 0, drawn == 1
    borrowed[:, 0] = False

    def padded(count: np.ndarray) -> np.ndarray:
        return -(-count // unit) * unit

    both = (kept & lent).sum(2)
    start = padded(kept.sum(2) - both)
    own = start + padded(both)
    computed, read = start + padded(lent.sum(2)), own + padded(borrowed.sum(2))
    return computed.ravel(), (own + padded(lent.sum(2))).ravel(), read.ravel()


class Model:
    """Times on one GPU, in microseconds."""

    def __init__(self, gpu: Gpu, codes: dict[str, sass.Code], bits: int = 16) -> None:
        self.gpu, self.codes, self.bytes = gpu, codes, bits // 8
        self.tflops = gpu.tflops * 16 / bits

    def memory(self, *elements: float) -> float:
        """Move numbers of elements, each from L2 if it is small enough to be there."""
        gpu = self.gpu
        fast = min(3 * gpu.memory, gpu.l2_rate)
        sizes = [count * self.bytes / 1e6 for count in elements]
        return sum(mb / (fast if mb < gpu.l2 / 2 else gpu.memory) * 1e3 for mb in sizes)

    def layer(self, macs: float, *elements: float) -> float:
        """A layer of the dense network."""
        return max(2 * macs / self.tflops / 1e6, self.memory(*elements)) + self.gpu.launch

    def dense(self, clips: int) -> float:
        """The dense network."""
        total = self.stem(clips)
        for size, out, block, _ in network(clips):
            before, after = size * size * clips * T, out * out * clips * T
            cin, c, cout = block.channels_in, block.channels, block.channels_out
            x, y = before * cin, after * cout
            total += self.layer(0, x, x)  # shift
            total += self.layer(before * cin * c, x, before * c, cin * c)
            total += self.layer(after * 9 * c * c, before * c, after * c, 9 * c * c)
            total += self.layer(after * c * cout, after * c, y, y, c * cout)
            if block.project:
                total += self.layer(after * cin * cout, x / block.stride**2, y, cin * cout)
        return total

    def stem(self, clips: int) -> float:
        """The first convolution and its pooling."""
        frames = clips * T
        wide, small = frames * 112 * 112 * 64, frames * 56 * 56 * 64
        return self.layer(wide * 147, frames * 3 * 224 * 224, wide) + self.layer(0, wide, small)

    def blocks(
        self, clips: int, mix: tuple[float, float], l2_limit: bool
    ) -> tuple[float, list[dict[str, Any]]]:
        """The network by its blocks, and what every launch takes and waits for."""
        x = clips * T * 56 * 56 * 64
        total = self.stem(clips) + self.layer(0, x)
        report = []
        for number, (size, out, block, plan) in enumerate(network(clips)):
            for launch in plan.launches:
                parts, moved = self.launch(launch, block, size, out, clips, mix)
                if not l2_limit:
                    parts.pop("l2", None)
                time = max(parts.values()) + self.gpu.launch
                total += time
                report.append(
                    {
                        "block": number,
                        "kernel": launch.kernel[1],
                        "microseconds": round(time, 2),
                        "waits_for": max(parts, key=lambda part: parts[part]),
                        "bytes": int(moved * self.bytes),
                    }
                )
        return total, report

    def launch(
        self,
        launch: Launch,
        block: Block,
        size: int,
        out: int,
        clips: int,
        mix: tuple[float, float],
    ) -> tuple[dict[str, float], float]:
        """Return the time by what limits it, and the elements that are moved."""
        constants = dict(launch.constants)
        kernel = launch.kernel[1]
        code = self.codes[_name(launch)]
        frames = clips * T
        bm, bn, bk = (constants[f"BLOCK_{axis}"] for axis in "MNK")
        computed, stored, read = listed(block.channels, mix)
        cin, c, cout = block.channels_in, block.channels, block.channels_out
        if kernel == "gate_hidden":
            moved = 2.0 * cin * HIDDEN
            return {"memory": moved * 2 / self.gpu.memory / 1e3}, moved
        if kernel == "gate_policy":
            moved = 3.0 * c * HIDDEN
            # The program that arrives last writes the lists of its group, a pair of frames at once.
            writes = min(T, int(launch.arguments["group_rows"])) / constants["BLOCK_R"]
            lists = writes * code.outside / ISSUE / self.gpu.ghz / 1e3
            return {"memory": moved * 2 / self.gpu.memory / 1e3 + lists}, moved
        loops = [loop.instructions for loop in code.products]
        if kernel == "conv_listed_outputs":
            pixels, border = size * size, 3 * size + 3
            tiles = (ceil(pixels / bm) + 1) * np.ceil(computed / bn).mean() * frames
            steps = ceil(cin / bk)
            work, macs = steps * loops[0], bm * bn * bk * steps
            each = (pixels / ceil(pixels / bm) + bn) * cin
            elements = [pixels * frames * cin, (pixels + border) * frames * stored.mean(), c * cin]
        elif kernel == "conv_listed_inputs":
            pixels = out * out
            tiles = ceil(pixels / bm) * (c / bn) * frames
            steps = 9 * np.ceil(read / bk).mean()
            work, macs = steps * loops[0], bm * bn * bk * steps
            # Triton's copies of 16 bytes bypass L1: nine taps are read nine times.
            each = 9 * (pixels / ceil(pixels / bm) + bn) * read.mean() + bm * bn
            elements = [size * size * frames * read.mean(), pixels * frames * c, 9 * c * c]
        else:
            pixels = out * out * frames
            tiles = ceil(pixels / bm) * (cout / bn)
            inner, outer = ceil(c / bk), ceil(cin / bk) if block.project else 0
            work = inner * loops[0] + outer * loops[-1]
            macs = bm * bn * bk * (inner + outer)
            each = (bm + bn) * (c + cin * block.project) + (2 - block.project) * bm * bn
            side = pixels * (cin if block.project else cout)
            elements = [pixels * c, pixels * cout, side, (c + cin * block.project) * cout]
        gpu = self.gpu
        rounds = tiles / gpu.processors
        rounds = ceil(rounds) if rounds < 4 else rounds
        per_cycle = self.tflops * 1e6 / 2 / gpu.processors / gpu.ghz / 1e3
        cycles = {
            "issue": (code.outside + work) * launch.warps / 4 / ISSUE,
            "tensor cores": macs / per_cycle,
            "l2": each * self.bytes / (gpu.l2_rate / gpu.processors / gpu.ghz),
        }
        parts = {name: rounds * value / gpu.ghz / 1e3 for name, value in cycles.items()}
        return parts | {"memory": self.memory(*elements)}, sum(elements)


def _name(launch: Launch) -> str:
    from adafuse_deploy.ops.triton.block.variants import name_of

    return name_of(launch.kernel[1], "fp16", dict(launch.constants))


def count_kernels(folder: Path, jobs: int) -> dict[int, dict[str, sass.Code]]:
    """Compile every kernel that the network launches; count each, by target and name."""
    from adafuse_deploy.ops.triton.block.variants import block_variants
    from adafuse_deploy.ops.triton.compile import compile_variants

    names = {
        _name(launch)
        for clips in PIECES
        for _, _, _, plan in network(clips)
        for launch in plan.launches
    }
    variants = [v for v in block_variants(["fp16"], ["fp16"]) if v.name in names]
    targets = sorted({gpu.target for gpu in GPUS.values()})
    manifest = compile_variants(variants, targets, folder, jobs)
    return {
        target: {
            kernel["name"]: sass.disassemble(folder / kernel["cubins"][str(target)]["file"])
            for kernel in manifest["kernels"]
        }
        for target in targets
    }


def compare(gpu: Gpu, codes: dict[str, sass.Code], clips: int, mix: tuple[float, float]) -> Any:
    """Return the milliseconds of every implementation, each cut into the pieces that suit it."""
    pieces = [piece for piece in PIECES if piece <= clips]
    half, int8 = Model(gpu, codes), Model(gpu, codes, 8)
    result: dict[str, Any] = {"clips": clips}
    for name, run in {
        "dense_fp16": half.dense,
        "dense_int8": int8.dense,
        "blocks_fp16": lambda piece: half.blocks(piece, mix, True)[0],
        "blocks_fp16_no_l2_limit": lambda piece: half.blocks(piece, mix, False)[0],
    }.items():
        times = {piece: run(piece) * clips / piece / 1e3 for piece in pieces}
        best = min(times, key=lambda piece: times[piece])
        result[name] = {"ms": round(times[best], 3), "piece": best}
    launches = half.blocks(result["blocks_fp16"]["piece"], mix, True)[1]
    result["launches"] = len(launches) + LAUNCHES_AROUND
    result["layers"] = launches
    return result


def main() -> None:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write every figure, launch by launch")
    parser.add_argument("--cubins", type=Path, help="where compiled kernels go; nowhere by default")
    parser.add_argument("--jobs", type=int, default=1, help="processes that compile")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        codes = count_kernels(args.cubins or Path(scratch), args.jobs)
    _, reuse, keep = MIXES["sthv2"]
    cases = {"sthv2": (keep, reuse), "all kept": (1.0, 0.0), "nothing kept": (0.0, 0.0)}
    results, rows = [], []
    for name, gpu in GPUS.items():
        for clips in (1, 16):
            by_mix = {mix: compare(gpu, codes[gpu.target], clips, s) for mix, s in cases.items()}
            results.append({"gpu": name, "clips": clips, "mixes": by_mix})
            one = by_mix["sthv2"]
            dense = one["dense_fp16"]["ms"]

            def over(mix: str, dense: float = dense, by_mix: Any = by_mix) -> str:
                limits = ("blocks_fp16", "blocks_fp16_no_l2_limit")
                return " / ".join(f"{dense / by_mix[mix][limit]['ms']:.2f}" for limit in limits)

            rows.append(
                [
                    *(name, str(clips), f"{dense:.2f}", f"{one['dense_int8']['ms']:.2f}"),
                    f"{one['blocks_fp16']['ms']:.2f}",
                    *(over(mix) for mix in cases),
                    f"{one['dense_int8']['ms'] / one['blocks_fp16']['ms']:.2f}",
                    str(one["launches"]),
                ]
            )
    heads = ["GPU", "clips", "dense fp16, ms", "dense INT8, ms", "blocks fp16, ms"]
    heads += ["over dense fp16, SthV2", "all kept", "nothing kept", "over dense INT8", "launches"]
    print("Modelled, not measured. Pairs: with / without the estimated limit on bytes from L2.\n")
    print(table(heads, rows))
    if args.json:
        write_text(args.json, json_text({"modelled": True, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()

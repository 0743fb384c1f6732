"""Machine code of compiled kernels, counted: what is known of their speed without a GPU."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its instructions, and how many of them are matrix products."""

    instructions: int
    products: int


@dataclass(frozen=True)
class Code:
    """What a kernel consists of.

    Attributes:
        instructions: all of them.
        loops: innermost loops, in order.
        stores: stores to global memory, by bytes per thread.
    """

    instructions: int
    loops: tuple[Loop, ...]
    stores: dict[int, int]

    @property
    def outside(self) -> int:
        """Instructions outside the loops that multiply matrices."""
        return self.instructions - sum(loop.instructions for loop in self.products)

    @property
    def products(self) -> tuple[Loop, ...]:
        """The loops that multiply matrices."""
        return tuple(loop for loop in self.loops if loop.products)


def disassemble(cubin: Path) -> Code:
    """Count the instructions of the one kernel in ``cubin``, with Triton's nvdisasm."""
    from triton import knobs

    command = [knobs.nvidia.nvdisasm.path, "-c", str(cubin)]
    return read(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read(text: str) -> Code:
    """Count the instructions in a listing of nvdisasm."""
    code: list[str] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_[x_0-9]+):", line):
            labels[label[1]] = len(code)
        elif instruction := re.search(r"/\*[0-9a-f]{4,5}\*/\s+(.*?);", line):
            code.append(instruction[1].strip())
    while code and code[-1] == "NOP":
        code.pop()
    loops = []
    for index, line in enumerate(code):
        jump = re.search(r"BRA.*?(\.L_[x_0-9]+)", line)
        if jump and labels.get(jump[1], index + 1) < index:
            loops.append((labels[jump[1]], index))
    inner = [
        (start, end)
        for start, end in loops
        if not any(
            other != (start, end) and start <= other[0] and other[1] <= end for other in loops
        )
    ]
    names = [_name(line) for line in code]
    return Code(
        len(code),
        tuple(
            Loop(end - start + 1, sum("MMA" in name for name in names[start : end + 1]))
            for start, end in inner
        ),
        dict(Counter(_bytes(name) for name in names if name.startswith(("STG", "ST.E")))),
    )


def _name(line: str) -> str:
    return re.sub(r"^@!?U?P\w+\s+", "", line).split()[0]


def _bytes(store: str) -> int:
    sizes = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
    return next((size for mark, size in sizes.items() if mark in store.split(".")), 4)

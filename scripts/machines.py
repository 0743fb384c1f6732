"""Where reports of benchmarks lie: a folder for each kind of machine they were measured on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import DOCS

from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text

BENCHMARKS = DOCS / "benchmarks"
# The widest that a machine has names it, for that decides about speed.
_SETS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 BF16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}


def title(machine: dict[str, Any]) -> str:
    """Return what to call a machine that ``describe_machine`` described."""
    name = re.sub(r"\((?:R|TM)\)| Processor", "", machine["processor"]).strip()
    widest = (text for key, text in _SETS.items() if key in machine["instruction_sets"])
    return f"{name}, {next(widest, 'baseline')}"


def folder(machine: dict[str, Any]) -> Path:
    """Return where a machine's reports go."""
    return BENCHMARKS / re.sub(r"[^a-z0-9]+", "-", title(machine).lower())


def folders(*names: str) -> list[Path]:
    """Return the folders, in order, that hold one of these files at least."""
    return [
        path
        for path in sorted(BENCHMARKS.iterdir())
        if path.is_dir() and any((path / name).exists() for name in names)
    ]


def save(report: dict[str, Any], name: str) -> None:
    """Write a report, whose ``machine`` says where it was measured, into that machine's folder."""
    path = folder(report["machine"]) / name
    path.parent.mkdir(exist_ok=True)
    write_text(path, json_text(report, indent=2) + "\n")


def all_tables(name: str, table: Callable[[dict[str, Any]], str]) -> str:
    """Return in Markdown, under each machine's title, the table of its report of this name."""
    reports = [json.loads((path / name).read_text()) for path in folders(name)]
    return "\n\n".join(f"### {title(r['machine'])}\n\n{table(r)}" for r in reports)

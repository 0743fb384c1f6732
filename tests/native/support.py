"""Where ``make cpp`` builds, and how."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "native"
EXAMPLES = [f"adafuse_{name}" for name in ("c", "classify", "preprocess", "run", "stream")]


def cmake(*arguments: object) -> None:
    result = subprocess.run(
        ["cmake", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr

"""Where the C++ runtime is built, and how."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "native"
"""Where ``make cpp`` builds."""
ALONE = not (BUILT / "CMakeCache.txt").exists()
"""Whether the runtime is built beside the package's operator library, which spares its minute."""
BUILD = ROOT / "build" / "runtime_alone" if ALONE else BUILT
EXAMPLES = [f"adafuse_{name}" for name in ("c", "classify", "preprocess", "run", "stream")]


def cmake(*arguments: object) -> None:
    result = subprocess.run(
        ["cmake", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr

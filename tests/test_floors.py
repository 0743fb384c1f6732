"""The versions that are tested as the oldest are those that the package asks for."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def floors(text: str) -> dict[str, str]:
    return {name.lower(): version for name, version in re.findall(r'"([\w-]+)>=([\d.]+)"', text)}


def test_the_tested_floors_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    required = floors(project[project.index("\ndependencies") : project.index("[project.scripts]")])
    lines = (ROOT / "constraints-floor.txt").read_text().splitlines()
    tested = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    runtime = floors(project[project.index("\ndependencies") : project.index("[project.optional")])
    assert set(runtime) <= set(tested)
    for name, version in tested.items():
        wanted = required[name].split(".")
        got = version.split(".")
        assert got[: len(wanted)] == wanted and not any(map(int, got[len(wanted) :])), name


def test_onnx_is_without_its_known_faults() -> None:
    """CVE-2026-28500 and CVE-2026-34445 were mended in 1.21."""
    required = floors((ROOT / "pyproject.toml").read_text())
    assert tuple(map(int, required["onnx"].split("."))) >= (1, 21)

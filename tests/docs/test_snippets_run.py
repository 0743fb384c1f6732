"""The commands and snippets of README.md and docs/ run, page by page.

A page finds a small network, its graphs, and some videos with lists under the names that all pages
use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_STREAM
from scripts.docs.blocks import ROOT, Block, blocks, pages
from tests.support import run_cli

RUN = ("sh", "python")
PAGES = [
    page
    for page in pages()
    if any(block.language in RUN and not block.not_run for block in blocks(page))
]


def prepare(folder: Path) -> None:
    """Make what the pages take for granted, of a small network that also streams."""
    shutil.copy(SHIPPED_STREAM, folder / "ckpt.pt")
    for name in ("video.mp4", "hour.mp4"):
        shutil.copy(SAMPLE_VIDEO, folder / name)
    (folder / "adafuse_deploy").mkdir()
    for name in ("assets", "recipes"):
        (folder / "adafuse_deploy" / name).symlink_to(ROOT / "adafuse_deploy" / name)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    runs: list[tuple[object, ...]] = [
        ("synthesize", "videos", "--count", 12, "--seed", 901, "--size", 64),
        ("export", "ckpt.pt", "-o", "model.onnx"),
        ("export", "ckpt.pt", "--mode", "stream", "-o", "model.stream.onnx"),
    ]
    for graph in ("model", "model.stream"):
        output = f"{graph}.cpu.onnx"
        runs.append(("build-engine", f"{graph}.onnx", "--backend", "onnxruntime", "-o", output))
    for arguments in runs:
        assert run_cli(*arguments, "--quiet") == 0
    lines = (folder / "videos/list.txt").read_text().splitlines()
    listed = "".join(f"videos/{line}\n" for line in lines)
    for name in ("val.txt", "calibration.txt", "list.txt"):
        (folder / name).write_text(listed)
    (folder / "train.txt").write_text(3 * listed)  # a batch at least
    shutil.copy(folder / "videos/classes.txt", folder / "classes.txt")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    here = Path.cwd()
    os.chdir(folder)
    try:
        prepare(folder)
    finally:
        os.chdir(here)
    return folder


def without_numbers(text: str) -> str:
    """Return a text whose numbers, and the spaces around its words, do not count."""
    return " ".join(re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "#", text).split())


def shell(block: Block, environment: dict[str, str]) -> None:
    script = f"set -eo pipefail\n{block.before}\n{block.code}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=600
    )
    said = done.stdout + done.stderr
    assert done.returncode == block.exit_code, f"{block} ended with {done.returncode}:\n{said}"
    for part in without_numbers(block.output).split("..."):
        assert part.strip() in without_numbers(said), f"{block} shows what was not said:\n{said}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_blocks_run(
    page: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's blocks in their order, each page in a folder of its own."""
    folder = tmp_path / "page"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.chdir(folder)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "200"}
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.not_run or block.language not in RUN:
            continue
        if block.language == "sh":
            shell(block, environment)
        else:
            exec(compile(f"{block.before}\n{block.code}", str(block), "exec"), names)

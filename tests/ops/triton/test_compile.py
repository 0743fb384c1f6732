"""Ahead-of-time compilation, for GPUs that are not here."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adafuse_deploy.ops.triton.compile import TARGETS


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command without the tests' interpreter."""
    variables = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, "-m", "adafuse_deploy.ops.triton.compile", *arguments],
        capture_output=True,
        text=True,
        env=variables | environment,
    )


@pytest.mark.parametrize(
    ("match", "targets"),
    [
        ("channel_lists_unit8_channels64", TARGETS),
        ("last_stride1_64x64x64", (87,)),
        ("last_stride1_64x64x16_fp32", (87,)),
        ("sum_frames", (87,)),
    ],
)
def test_cubins_and_manifest(match: str, targets: tuple[int, ...], tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    options = [f"--target={target}" for target in targets]
    result = run("-o", str(tmp_path), "--match", match, "--table", str(table), *options)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["kernels"]
    assert {path.name for path in tmp_path.glob("*.cubin")} == {
        cubin["file"] for kernel in manifest["kernels"] for cubin in kernel["cubins"].values()
    }
    for kernel in manifest["kernels"]:
        assert match in kernel["name"] and kernel["name"] in table.read_text()
        names = [parameter["name"] for parameter in kernel["parameters"]]
        assert names[-2:] == ["global_scratch", "profile_scratch"]
        assert set(kernel["multiples_of_16"]) <= set(names)
        assert list(kernel["cubins"]) == [str(target) for target in targets]
        for target, cubin in kernel["cubins"].items():
            data = (tmp_path / cubin["file"]).read_bytes()
            assert data.startswith(b"\x7fELF") and cubin["symbol"].encode() in data
            assert hashlib.sha256(data).hexdigest() == cubin["sha256"]
            assert cubin["shared_bytes"] <= 99 * 1024
            if int(target) < 100:  # what JetPack 6 can load
                assert float(cubin["ptx"]) <= 8.5
                assert manifest["assemblers"][target].startswith("12.6.")


def test_says_what_is_wrong(tmp_path: Path) -> None:
    result = run("-o", str(tmp_path), TRITON_INTERPRET="1")
    assert result.returncode == 1 and "unset it" in result.stderr
    result = run("-o", str(tmp_path), "--match", "nothing")
    assert result.returncode == 1 and "'nothing'" in result.stderr

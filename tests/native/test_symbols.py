"""What the operator library needs of a system: older ones than the one it was built on load it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from adafuse_deploy.ops.library import operator_library_path
from tests.native.support import ROOT

OLDEST = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)}
"""Of manylinux_2_28 (PEP 600): what RHEL 8 has."""


@pytest.mark.skipif(shutil.which("readelf") is None, reason="binutils are not installed")
def test_the_operator_library_loads_on_older_systems() -> None:
    command = ["readelf", "--version-info", "--dynamic", str(operator_library_path())]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"Name: (GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)", told)
    assert ("GLIBC", "2.2.5") in needed or ("GLIBC", "2.17") in needed, told
    newer = [
        f"{name}_{version}"
        for name, version in needed
        if tuple(map(int, version.split("."))) > OLDEST[name]
    ]
    assert not newer
    libraries = set(re.findall(r"Shared library: \[(.+?)\]", told))
    assert libraries <= {
        "libc.so.6",
        "libm.so.6",
        "libgcc_s.so.1",
        "ld-linux-x86-64.so.2",
        "ld-linux-aarch64.so.1",
    }


def test_headers_of_others_are_unchanged() -> None:
    folder = ROOT / "native" / "third_party"
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = {line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {str(path.relative_to(folder)) for path in folder.glob("*/*")}

"""Wheels of the last commit that load wherever glibc is 2.28 or newer.

    python scripts/wheels.py [x86_64] [aarch64] [-o dist] [--twice]

The library inside is no Python extension: one wheel for a kind of processor serves every Python.
What is built is the commit, not the working tree, with its date, so that everybody gets the same
bytes; ``--twice`` builds again in another folder and compares. auditwheel says which C library a
wheel needs; one that needs a newer one is refused. Wheels for 64-bit ARM are made by a cross
compiler (``apt install g++-aarch64-linux-gnu``).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
GLIBC = (2, 28)
"""The oldest one to load with: that of RHEL 8, Debian 10 and Ubuntu 20.04."""


def main() -> int:
    """Build, check and print every wheel's name, size and sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = platform.machine()
    parser.add_argument("machines", nargs="*", default=[here], help=f"processors [{here}]")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder [dist]")
    parser.add_argument("--twice", action="store_true", help="build again and compare")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for machine in options.machines:
        made = []
        for _ in range(1 + options.twice):
            with tempfile.TemporaryDirectory(prefix="adafuse-wheel-") as folder:
                wheel = build(machine, Path(folder))
                check(wheel, machine)
                made.append((wheel.name, wheel.read_bytes()))
        name, content = made[0]
        if any(other != made[0] for other in made[1:]):
            raise SystemExit(f"{name} is not the same when it is built again.")
        (options.output / name).write_bytes(content)
        sum_ = hashlib.sha256(content).hexdigest()
        print(f"{options.output / name}  {len(content) / 1e6:.2f} MB  sha256 {sum_}", flush=True)
    return 0


def build(machine: str, folder: Path) -> Path:
    """Return a wheel of the last commit with its platform's tag."""
    source, target = folder / "source", folder / "wheel"
    source.mkdir()
    archive = run("git", "-C", ROOT, "archive", "HEAD")
    subprocess.run(["tar", "x", "-C", source], input=archive, check=True)
    date = run("git", "-C", ROOT, "log", "-1", "--format=%ct").decode().strip()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", target, source]
    if machine != platform.machine():
        toolchain = source / "native" / "cmake" / f"{machine}.cmake"
        if not toolchain.is_file():
            raise SystemExit(f"There is no native/cmake/{machine}.cmake to build for {machine} by.")
        command += ["-C", f"cmake.args=-DCMAKE_TOOLCHAIN_FILE={toolchain}"]
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": date,
        "PIP_CONSTRAINT": str(source / "constraints.txt"),
    }
    run(*command, env=environment)
    (plain,) = target.iterdir()
    tag = "manylinux_{}_{}_{}".format(*GLIBC, machine)
    run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", tag, plain,
        env=environment)  # fmt: skip
    (wheel,) = target.iterdir()
    return wheel


def check(wheel: Path, machine: str) -> None:
    """Stop unless auditwheel finds that a wheel keeps what its tag says."""
    told = run(sys.executable, "-m", "auditwheel", "show", wheel).decode()
    tags = re.findall(r'platform tag:\s+"manylinux_(\d+)_(\d+)_(\w+)"', told)
    kept = [tag for tag in tags if tag[2] == machine and (int(tag[0]), int(tag[1])) <= GLIBC]
    if not kept:
        raise SystemExit(f"{wheel.name} does not keep what its name says:\n{told}")


def run(*command: object, env: dict[str, str] | None = None) -> bytes:
    """Return what a command prints; stop with its messages where it fails."""
    done = subprocess.run([str(word) for word in command], env=env, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{(done.stdout + done.stderr).decode()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

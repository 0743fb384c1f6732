"""Ahead-of-time compilation: ``python -m adafuse_deploy.ops.triton.compile --output DIR``.

Writes one cubin per kernel variant and GPU generation, and ``manifest.json`` with what a program
needs to launch them through the CUDA driver API; README.md in this folder describes it.  Neither
a GPU nor its driver is needed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click

from adafuse_deploy.core.errors import AdaFuseError, InputError, MissingDependencyError
from adafuse_deploy.core.files import atomic_path, write_text
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.core.packages import PACKAGES, explained
from adafuse_deploy.core.process import clean_exit
from adafuse_deploy.ops.triton.variant import Variant

TARGETS = (80, 86, 87, 89, 90, 100, 120)
"""Compute capabilities times ten: Ampere, Jetson Orin (87), Ada, Hopper, Blackwell."""

PTX_VERSION = 85
"""PTX ISA 8.5 belongs to CUDA 12.5; JetPack 6 brings a driver for CUDA 12.6."""

BLACKWELL = 100
"""Generations that PTX 8.5 does not know are left to the assembler that comes with Triton."""


def compile_variants(
    variants: Sequence[Variant], targets: Sequence[int], output: Path, jobs: int = 1
) -> dict[str, Any]:
    """Compile ``variants`` for ``targets`` into the folder ``output`` and return the manifest.

    Raises:
        MissingDependencyError: Triton or the assembler of CUDA 12.6 is not installed.
        InputError: Triton is set to interpret kernels, or the folder cannot be written.
    """
    check_tools(targets)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {output}: {error.strerror}.") from error
    work = [(variant, target, output) for variant in variants for target in targets]
    with ProcessPoolExecutor(jobs) as pool:
        files = list(pool.map(_compile, *zip(*work, strict=True)))
    manifest = {
        "schema": 1,
        "triton": _triton_version(),
        "assemblers": {str(target): _assembler_version(target) for target in targets},
        "kernels": [
            {**variant.describe(), "cubins": dict(files[index : index + len(targets)])}
            for index, variant in zip(range(0, len(files), len(targets)), variants, strict=True)
        ],
    }
    write_text(output / "manifest.json", json_text(manifest, indent=1) + "\n")
    return manifest


def _compile(variant: Variant, target: int, output: Path) -> tuple[str, dict[str, Any]]:
    """Compile one cubin and return its target and its entry in the manifest."""
    _set_up_triton()
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    options: dict[str, Any] = {"num_warps": variant.warps, "num_stages": variant.stages}
    if target < BLACKWELL:
        options["ptx_version"] = PTX_VERSION
    kernel = variant.function()
    signature = {name: variant.types.get(name, "constexpr") for name in kernel.arg_names}
    attributes = {
        (kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in variant.aligned
    }
    source = ASTSource(kernel, signature, dict(variant.constants), attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)
    metadata = compiled.metadata
    # The contract passes null for both scratch pointers.
    assert metadata.global_scratch_size == 0 and metadata.profile_scratch_size == 0
    assert metadata.num_ctas == 1
    cubin = compiled.asm["cubin"]
    ptx = compiled.asm["ptx"]
    version = re.search(r"\.version (\d+\.\d+)", ptx)
    assert version is not None
    # The manifest's parameters are the compiled ones, Triton's own included.
    header = ptx[ptx.index(".entry") : ptx.index("{", ptx.index(".entry"))]
    assert header.count(".param ") == len(variant.describe()["parameters"])
    with atomic_path(output / f"{variant.name}.sm_{target}.cubin") as path:
        path.write_bytes(cubin)
        registers, stack = _resources(path)
    entry = {
        "file": f"{variant.name}.sm_{target}.cubin",
        "sha256": hashlib.sha256(cubin).hexdigest(),
        "bytes": len(cubin),
        "symbol": metadata.name,
        "shared_bytes": metadata.shared,
        "registers": registers,
        "stack_bytes": stack,
        "ptx": version.group(1),
    }
    return str(target), entry


def check_tools(targets: Sequence[int]) -> None:
    """Raise what :func:`compile_variants` says if something that it takes is missing."""
    with explained():
        importlib.import_module("triton")
    if os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"):
        raise InputError("Triton cannot compile while TRITON_INTERPRET is set; unset it.")
    if min(targets) < BLACKWELL and _assembler() is None:
        raise MissingDependencyError(
            "The assembler of CUDA 12.6 is not installed: pip install "
            f"'{PACKAGES['triton'].requirement}', or name a ptxas in TRITON_PTXAS_PATH."
        )


def _assembler() -> str | None:
    """Return the ptxas for generations before Blackwell: the user's, or the installed package's."""
    if path := os.environ.get("TRITON_PTXAS_PATH"):
        return path
    try:
        package = importlib.util.find_spec("nvidia.cuda_nvcc")
    except ModuleNotFoundError:
        return None
    for folder in (package and package.submodule_search_locations) or ():
        if (ptxas := Path(folder) / "bin" / "ptxas").exists():
            return str(ptxas)
    return None


def _set_up_triton() -> None:
    """Let Triton use that assembler, and leave line tables out of the cubins."""
    os.environ["TRITON_PTXAS_PATH"] = _assembler() or ""
    os.environ["TRITON_DISABLE_LINE_INFO"] = "1"


@functools.cache
def _assembler_version(target: int) -> str:
    _set_up_triton()
    from triton.backends.nvidia.compiler import get_ptxas_version

    version = re.search(r"V(\d+\.\d+\.\d+)", get_ptxas_version(target))
    return version.group(1) if version else "unknown"


def _triton_version() -> str:
    import triton

    return triton.__version__


def _resources(cubin: Path) -> tuple[int, int]:
    """Return a kernel's registers and bytes of local memory, per thread."""
    from triton import knobs

    command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(cubin)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    usage = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert usage is not None, text
    return int(usage.group(1)), int(usage.group(2))


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option(
    "--target",
    "targets",
    type=click.Choice([str(target) for target in TARGETS]),
    multiple=True,
    default=[str(target) for target in TARGETS],
    help="Compute capability without the dot; repeatable. All by default.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(["fp16", "bf16", "fp32"]),
    multiple=True,
    default=["fp16", "fp32"],
    show_default=True,
    help="Repeatable.",
)
@click.option("--match", default="", help="Only variants whose name contains this.")
@click.option("--table", type=click.Path(path_type=Path), help="Write register use as Markdown.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count(), help="Processes.")
def main(
    output: Path,
    targets: Sequence[str],
    dtypes: Sequence[str],
    match: str,
    table: Path | None,
    jobs: int,
) -> None:
    """Compile the kernels of residual blocks ahead of time."""
    try:
        check_tools([int(target) for target in targets])
        # Imports Triton, which check_tools found.
        from adafuse_deploy.ops.triton.block.variants import block_variants

        known = block_variants(dtypes, dtypes)
        variants = [variant for variant in known if match in variant.name]
        if not variants:
            raise InputError(f"No variant's name contains {match!r}.")
        manifest = compile_variants(variants, [int(target) for target in targets], output, jobs)
        if table is not None:
            write_text(table, resource_table(manifest))
    except AdaFuseError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    cubins = [cubin for kernel in manifest["kernels"] for cubin in kernel["cubins"].values()]
    size = sum(cubin["bytes"] for cubin in cubins)
    click.echo(f"{output / 'manifest.json'}: {len(cubins)} cubins, {size / 1e6:.1f} MB")


def resource_table(manifest: dict[str, Any]) -> str:
    """Return a Markdown table of registers and shared memory per variant and target."""
    targets = list(manifest["assemblers"])
    lines = [
        "# Resources of the GPU kernels",
        "",
        "Registers per thread / KiB of shared memory per program; * uses local memory as well.",
        "Written by `python -m adafuse_deploy.ops.triton.compile --table`.",
        "",
        "| variant | " + " | ".join(f"sm_{target}" for target in targets) + " |",
        "| --- |" + " --- |" * len(targets),
    ]
    for kernel in manifest["kernels"]:
        cells = [
            f"{cubin['registers']} / {cubin['shared_bytes'] / 1024:.0f}"
            + "*" * bool(cubin["stack_bytes"])
            for cubin in (kernel["cubins"][target] for target in targets)
        ]
        lines.append(f"| {kernel['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with clean_exit():
        main()

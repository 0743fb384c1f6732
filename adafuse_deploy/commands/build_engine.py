"""``adafuse-deploy build-engine``: an exported graph becomes what one runtime runs best."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np


@click.command(
    epilog="Example: adafuse-deploy build-engine model.onnx -o model.engine "
    "--backend tensorrt-rtx --compute-capability 8.6 --fp16"
)
@click.argument("graph")
@click.option("-o", "--output", help="What to make [GRAPH with .engine, or .cpu.onnx].")
@click.option(
    "--backend",
    default="tensorrt",
    show_default=True,
    help="tensorrt builds for the GPU at hand, tensorrt-rtx needs none; onnxruntime makes a graph "
    "of fused operators for CPUs.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    help="Of feature maps and convolutions; policies are always decided in fp32. CPUs know no "
    "fp16. Quantised graphs are built in int8 [that of GRAPH].",
)
@click.option("--fp16", is_flag=True, help="The same as --precision fp16.")
@click.option("--bf16", is_flag=True, help="The same as --precision bf16.")
@click.option("--int8", is_flag=True, help="The same as --precision int8.")
@click.option(
    "--data",
    help="For GPUs in int8, where GRAPH is not quantised: list file of videos to observe, as for "
    "'adafuse-deploy quantize'.",
)
@click.option("--root", help="Folder that the list's paths start from [the list's own].")
@click.option(
    "--compute-capability",
    "compute_capabilities",
    multiple=True,
    help="GPU to build for with tensorrt-rtx, such as 8.6; repeatable [all from 8.0 on].",
)
@click.option("--min-batch", type=int, default=1, show_default=True, help="Clips at a time.")
@click.option("--opt-batch", type=int, default=1, show_default=True, help="Tuned for this.")
@click.option("--max-batch", type=int, default=8, show_default=True)
@click.option("--workspace", type=click.IntRange(1), help="Builder's scratch memory in MiB.")
@click.option("--timing-cache", help="File to keep kernel timings in, for faster builds.")
@click.option(
    "--plugins",
    default="auto",
    show_default=True,
    help="tensorrt only: auto uses the plugin library with our GPU kernels if it is installed; "
    "none builds from standard operators, which compute every channel; or the library's path.",
)
@click.option("--embed-plugins", is_flag=True, help="Put the plugin library into the engine.")
@click.option(
    "--hardware-compatibility",
    type=click.Choice(["none", "ampere-plus", "same-compute-capability"]),
    default="none",
    show_default=True,
    help="With tensorrt: what else than the GPU at hand the engine must fit, at some speed.",
)
def command(
    graph: str,
    output: str | None,
    backend: str,
    precision: str | None,
    fp16: bool,
    bf16: bool,
    int8: bool,
    data: str | None,
    root: str | None,
    compute_capabilities: tuple[str, ...],
    min_batch: int,
    opt_batch: int,
    max_batch: int,
    workspace: int | None,
    timing_cache: str | None,
    plugins: str,
    embed_plugins: bool,
    hardware_compatibility: str,
) -> None:
    """Build an engine from GRAPH, an ONNX file made by 'adafuse-deploy export'.

    For GPUs, a JSON sidecar beside the engine says what the engine fits; the two belong together.
    For CPUs (--backend onnxruntime) the result is an ONNX file that needs the operator library.
    """
    flags = {"fp16": fp16, "bf16": bf16, "int8": int8}
    precision = _one_of(precision, [name for name, given in flags.items() if given])
    if root is not None and data is None:
        raise click.UsageError("--root belongs to --data; give both, or leave it out.")
    if backend == "onnxruntime":
        if precision == "fp16":
            raise click.UsageError(
                "--backend onnxruntime builds in fp32, bf16 or int8, not in fp16."
            )
        if data is not None:
            raise click.UsageError(
                "--data is for GPUs; for CPUs run 'adafuse-deploy quantize' first."
            )
        target = Path(output) if output else Path(graph).with_suffix(".cpu.onnx")
        _lower(graph, target, precision)
        return
    from adafuse_deploy.engines.builder import build_engine
    from adafuse_deploy.engines.options import BuildOptions
    from adafuse_deploy.engines.sidecar import BatchProfile, sidecar_path

    target = Path(output) if output else Path(graph).with_suffix(".engine")
    options = BuildOptions(
        precision=precision,
        compute_capabilities=compute_capabilities,
        batch=BatchProfile(min_batch, opt_batch, max_batch),
        workspace=workspace,
        timing_cache=Path(timing_cache) if timing_cache else None,
        plugins=plugins,
        embed_plugins=embed_plugins,
        hardware_compatibility=hardware_compatibility,
    )
    clips = _observed(graph, data, root) if data is not None else ()
    click.echo(f"Building {target} with {backend} ...", err=True)
    start = time.perf_counter()
    sidecar = build_engine(graph, target, backend=backend, options=options, clips=clips)
    seconds = time.perf_counter() - start
    click.echo(
        f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB, {seconds:.1f} s) and "
        f"{sidecar_path(target)}: {sidecar.backend} {sidecar.backend_version}, "
        f"{sidecar.precision}, compute capability {', '.join(sidecar.compute_capabilities)}, "
        f"{sidecar.batch.min} to {sidecar.batch.max} clips, "
        + ("conditional plugins." if sidecar.operators else "every channel computed (no plugins).")
    )
    click.echo(
        f"Next, on such a GPU: adafuse-deploy verify {graph} {target} --checkpoint CHECKPOINT"
    )


def _one_of(precision: str | None, flags: list[str]) -> str | None:
    """Return the precision that was asked for, by whichever options."""
    wanted = list(dict.fromkeys([*([precision] if precision else []), *flags]))
    if len(wanted) > 1:
        raise click.UsageError(f"--{wanted[-1]} contradicts {wanted[0]}; give one precision.")
    return wanted[0] if wanted else None


def _observed(graph: str, data: str, root: str | None) -> list[np.ndarray]:
    from adafuse_deploy.commands.quantize import DEFAULT_CLIPS
    from adafuse_deploy.engines.graph import read_metadata
    from adafuse_deploy.verification.clips import ListedClips

    listed = ListedClips(read_metadata(graph).config, data, root=root, count=DEFAULT_CLIPS)
    return [clip for clip, _ in listed]


def _lower(graph: str, target: Path, precision: str | None) -> None:
    from adafuse_deploy.engines.lowering.build import lower

    click.echo(f"Building {target} for ONNX Runtime ...", err=True)
    start = time.perf_counter()
    metadata, blocks = lower(graph, target, precision=precision)
    click.echo(
        f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB, "
        f"{time.perf_counter() - start:.1f} s): {blocks} fused blocks in "
        f"{metadata.precision}, checked against {metadata.portable_name}."
    )
    click.echo(f"Next: adafuse-deploy verify {graph} {target} --checkpoint CHECKPOINT")

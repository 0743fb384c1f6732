"""``adafuse-deploy build-engine``: a portable graph becomes what one runtime runs best."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adafuse_deploy.commands.lists import list_options, refuse_without_list
from adafuse_deploy.commands.next_step import advise_running, gpu_present, same_options
from adafuse_deploy.commands.options import FILE, ModelFile, OutputFile, verb
from adafuse_deploy.commands.output import made, note, talkative
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import check_target
from adafuse_deploy.core.hub import is_cached
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.suffixes import ENGINES, GRAPHS

if TYPE_CHECKING:
    import numpy as np

    from adafuse_deploy.data.lists import ListReading

_FOR_GPUS = (
    "compute_capabilities",
    "min_batch",
    "opt_batch",
    "max_batch",
    "workspace",
    "timing_cache",
    "plugins",
    "embed_plugins",
    "hardware_compatibility",
)
"""Options that ONNX Runtime has no use for."""


@verb(
    epilog="Example: adafuse-deploy build-engine model.onnx -o model.engine "
    "--backend tensorrt-rtx --compute-capability 8.6 --fp16"
)
@click.argument("graph", type=ModelFile(*GRAPHS))
@click.option(
    "-o",
    "--output",
    type=OutputFile(*GRAPHS, *ENGINES),
    help="What to make [GRAPH with .engine, or .cpu.onnx].",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]),
    default="auto",
    show_default=True,
    help="tensorrt builds for the GPU at hand, tensorrt-rtx needs none; onnxruntime makes a graph "
    "of fused operators for CPUs; auto makes what OUTPUT is named, else what runs here.",
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
    type=FILE,
    help="For GPUs in int8, where GRAPH is not quantised: list file of videos to observe, as for "
    "'adafuse-deploy quantize'.",
)
@list_options
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
@click.option(
    "--timing-cache", type=OutputFile(), help="File to keep kernel timings in, for faster builds."
)
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
    graph: Path,
    output: Path | None,
    backend: str,
    precision: str | None,
    fp16: bool,
    bf16: bool,
    int8: bool,
    data: Path | None,
    compute_capabilities: tuple[str, ...],
    min_batch: int,
    opt_batch: int,
    max_batch: int,
    workspace: int | None,
    timing_cache: Path | None,
    plugins: str,
    embed_plugins: bool,
    hardware_compatibility: str,
    reading: ListReading,
) -> None:
    """Build an engine from GRAPH, a portable graph made by 'adafuse-deploy export'.

    For GPUs, a JSON sidecar beside the engine says what the engine fits; the two belong together.
    For CPUs (--backend onnxruntime) the result is an ONNX file that needs the operator library.
    """
    flags = {"fp16": fp16, "bf16": bf16, "int8": int8}
    precision = _one_of(precision, [name for name, given in flags.items() if given])
    if data is None:
        refuse_without_list(reading)
    if backend == "auto":
        backend = _choose(output, compute_capabilities)
    for_cpus = backend == "onnxruntime"
    beside = Path(graph.name) if is_cached(graph) else graph
    target = output or beside.with_suffix(".cpu.onnx" if for_cpus else ".engine")
    _check_name(target, GRAPHS if for_cpus else ENGINES, backend)
    if for_cpus:
        if precision == "fp16":
            raise click.UsageError(
                "--backend onnxruntime builds in fp32, bf16 or int8, not in fp16."
            )
        if data is not None:
            raise click.UsageError(
                "--data is for GPUs; for CPUs run 'adafuse-deploy quantize' first."
            )
        for_gpus = same_options(_FOR_GPUS)
        if for_gpus:
            raise click.UsageError(
                f"{for_gpus[0]} is for GPUs; choose --backend tensorrt or tensorrt-rtx."
            )
        _lower(graph, target, precision)
        return
    from adafuse_deploy.engines.sidecar import BatchProfile, sidecar_path
    from adafuse_deploy.exporters.build_options import BuildOptions
    from adafuse_deploy.exporters.gpu_engine import build_gpu_engine

    options = BuildOptions(
        precision=precision,
        compute_capabilities=compute_capabilities,
        batch=BatchProfile(min_batch, opt_batch, max_batch),
        workspace=workspace,
        timing_cache=timing_cache,
        plugins=plugins,
        embed_plugins=embed_plugins,
        hardware_compatibility=hardware_compatibility,
    )
    clips = _observed(graph, data, reading) if data is not None else ()
    note(f"Building {target} with {backend} ...")
    start = time.perf_counter()
    sidecar = build_gpu_engine(graph, target, backend=backend, options=options, clips=clips)
    seconds = time.perf_counter() - start
    made(
        f"Wrote {target} ({_megabytes(target)}, {seconds:.1f} s) and "
        f"{sidecar_path(target)}: {sidecar.backend} {sidecar.backend_version}, "
        f"{sidecar.precision}, compute capability {', '.join(sidecar.compute_capabilities)}, "
        f"{sidecar.batch.min} to {sidecar.batch.max} clips, "
        + ("conditional plugins." if sidecar.operators else "every channel computed (no plugins).")
    )
    advise_running(str(target), sidecar.metadata.mode)


def _one_of(precision: str | None, flags: list[str]) -> str | None:
    """Return the precision that was asked for, by whichever options."""
    wanted = list(dict.fromkeys([*([precision] if precision else []), *flags]))
    if len(wanted) > 1:
        raise click.UsageError(f"--{wanted[-1]} contradicts {wanted[0]}; give one precision.")
    return wanted[0] if wanted else None


def _observed(graph: Path, data: Path, reading: ListReading) -> list[np.ndarray]:
    from adafuse_deploy.commands.quantize import DEFAULT_CLIPS
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.graph.read import read_metadata

    config = read_metadata(graph).config
    listed = ListedClips(config, data, reading=reading, labels="unused", count=DEFAULT_CLIPS)
    return [clip for clip, _ in progress(listed, "reading", show=talkative(), unit="clips")]


def _lower(graph: Path, target: Path, precision: str | None) -> None:
    from adafuse_deploy.exporters.fused_exporter import lower

    note(f"Building {target} for ONNX Runtime ...")
    start = time.perf_counter()
    metadata, blocks = lower(graph, target, precision=precision, notify=note)
    made(
        f"Wrote {target} ({_megabytes(target)}, "
        f"{time.perf_counter() - start:.1f} s): {blocks} fused blocks in "
        f"{metadata.precision}, checked against {metadata.portable_name}."
    )
    advise_running(str(target), metadata.mode)


def _choose(output: Path | None, compute_capabilities: tuple[str, ...]) -> str:
    """Return the backend that builds for such GPUs or makes such a file, else what runs here."""
    if compute_capabilities:
        return "tensorrt-rtx"
    gpu = gpu_present()
    if (output is None and not gpu) or (output is not None and output.name.endswith(GRAPHS)):
        return "onnxruntime"
    if gpu and BACKENDS["tensorrt"].installed():
        return "tensorrt"
    if BACKENDS["tensorrt-rtx"].installed():
        return "tensorrt-rtx"
    # Neither is installed: for a GPU's file the error of the one says how to get both.
    return "onnxruntime" if output is None else "tensorrt"


def _check_name(target: Path, suffixes: tuple[str, ...], backend: str) -> None:
    """Refuse a name that the backend's files do not have, or that cannot be written."""
    if not target.name.endswith(suffixes):
        raise InputError(
            f"{target} (-o/--output) must end in {' or '.join(suffixes)} with --backend {backend}; "
            "choose another name or --backend."
        )
    check_target(target, "-o/--output")


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"

"""``adafuse-deploy build-engine``: an exported graph becomes what one runtime runs best."""

from __future__ import annotations

import time
from pathlib import Path

import click


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
    help="Of feature maps and convolutions; policies are always decided in fp32. GPUs: fp32 or "
    "fp16; CPUs: fp32 or bf16. Quantised graphs are built in int8 [fp32 or int8].",
)
@click.option("--fp16", is_flag=True, help="The same as --precision fp16.")
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
def command(
    graph: str,
    output: str | None,
    backend: str,
    precision: str | None,
    fp16: bool,
    compute_capabilities: tuple[str, ...],
    min_batch: int,
    opt_batch: int,
    max_batch: int,
    workspace: int | None,
    timing_cache: str | None,
    plugins: str,
    embed_plugins: bool,
) -> None:
    """Build an engine from GRAPH, an ONNX file made by 'adafuse-deploy export'.

    For GPUs, a JSON sidecar beside the engine says what the engine fits; the two belong together.
    For CPUs (--backend onnxruntime) the result is an ONNX file that needs the operator library.
    """
    if backend == "onnxruntime":
        if fp16 or precision == "fp16":
            raise click.UsageError(
                "--backend onnxruntime builds in fp32, bf16 or int8, not in fp16."
            )
        target = Path(output) if output else Path(graph).with_suffix(".cpu.onnx")
        _lower(graph, target, precision)
        return
    from adafuse_deploy.engines.builder import build_engine
    from adafuse_deploy.engines.options import BuildOptions
    from adafuse_deploy.engines.sidecar import BatchProfile, sidecar_path

    if fp16 and precision == "fp32":
        raise click.UsageError("--fp16 contradicts --precision fp32; give one of them.")
    target = Path(output) if output else Path(graph).with_suffix(".engine")
    options = BuildOptions(
        precision="fp16" if fp16 else precision or "fp32",
        compute_capabilities=compute_capabilities,
        batch=BatchProfile(min_batch, opt_batch, max_batch),
        workspace=workspace,
        timing_cache=Path(timing_cache) if timing_cache else None,
        plugins=plugins,
        embed_plugins=embed_plugins,
    )
    click.echo(f"Building {target} with {backend} ...", err=True)
    start = time.perf_counter()
    sidecar = build_engine(graph, target, backend=backend, options=options)
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

"""``adafuse-deploy bench``: our engine against dense peers on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.lists import list_options, refuse_without_list
from adafuse_deploy.commands.options import (
    ANY_PATH,
    FILE,
    THREADS,
    ModelFile,
    Number,
    html_option,
    json_option,
    verb,
)
from adafuse_deploy.commands.output import note, report, talkative
from adafuse_deploy.core.packages import need
from adafuse_deploy.engines.suffixes import GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.core.metadata import GraphMetadata
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.report.seen import Seen


@verb(
    epilog="Example: adafuse-deploy bench --arch adafuse_tsm_resnet50 --policy-mix sthv2 "
    "--threads 2 --json bench.json"
)
@click.option("--arch", default="adafuse_tsm_resnet50", show_default=True, help="Gated network.")
@click.option(
    "--policy-mix",
    default="sthv2",
    show_default=True,
    help="sthv1, sthv2, jester, minikinetics, dense, or shares of skip,reuse,keep.",
)
@click.option(
    "--model",
    type=ModelFile(*GRAPHS),
    help="Trained graph that decides for itself, instead of --policy-mix.",
)
@click.option("--data", type=FILE, help="With --model: list file of the videos it decides on.")
@list_options
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "int8"]),
    default="fp32",
    show_default=True,
    help="Of ours and of the peers; random networks are quantised on noise.",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Time the next frame of a stream instead of whole clips (fp32 or bf16).",
)
@click.option(
    "--frames", type=click.IntRange(1), default=1000, show_default=True, help="To watch memory for."
)
@click.option(
    "--end-to-end",
    type=ANY_PATH,
    metavar="VIDEO",
    help="Time --model from a video file or a folder of frames to the label, part by part.",
)
@click.option(
    "--isa",
    type=click.Choice(["avx2", "avx512"]),
    help="Limit kernels, and those peers that allow it, to an instruction set.",
)
@click.option(
    "--peers",
    help="Runtimes that run the dense network of the same backbone. [those installed of "
    "openvino,onnxruntime,torch]",
)
@click.option("--threads", type=THREADS, default=1, show_default=True)
@click.option(
    "--clips", type=click.IntRange(1), default=1, show_default=True, help="Or streams, at a time."
)
@click.option("--size", type=click.IntRange(32), default=224, show_default=True, help="Pixels.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--max-seconds", type=Number(0), default=300.0, show_default=True, help="Of timing.")
@click.option(
    "--max-disturbance",
    type=Number(0),
    default=0.1,
    show_default=True,
    help="Drop runs during which other programs kept more processors than this busy.",
)
@json_option
@html_option
def command(
    arch: str,
    policy_mix: str,
    model: Path | None,
    data: Path | None,
    precision: str,
    stream: bool,
    frames: int,
    end_to_end: str | None,
    isa: str | None,
    peers: str | None,
    threads: int,
    clips: int,
    size: int,
    rounds: int,
    max_seconds: float,
    max_disturbance: float,
    json_file: str | None,
    html_file: Path | None,
    reading: ListReading,
) -> None:
    """Time an adaptive network on our kernels beside its dense counterpart on other runtimes.

    Weights are random and policies are drawn from the mix: only speed is measured.  With --model
    and --data a trained graph takes its own decisions on real clips; with --model and --end-to-end
    it is timed from a video to the label.
    """
    if end_to_end is not None:
        _end_to_end(end_to_end, model, data, threads, rounds, max_seconds, json_file, html_file)
        return
    if (model is None) != (data is None):
        raise click.UsageError("--model and --data belong together; give both or neither.")
    if data is None:
        refuse_without_list(reading)
    if stream and (model or isa or precision == "int8"):
        raise click.UsageError(
            "--stream times a random network in fp32 or bf16; leave out --model, --isa and "
            "--precision int8."
        )
    need("torch")
    from adafuse_deploy.benchmark.mixes import parse_mix
    from adafuse_deploy.benchmark.peers import PEERS, installed_peers
    from adafuse_deploy.benchmark.runner import BenchmarkOptions, RealPolicies, run_benchmark
    from adafuse_deploy.benchmark.streaming import (
        StreamBenchmarkOptions,
        report_lines,
        run_stream_benchmark,
    )
    from adafuse_deploy.graph.read import read_metadata
    from adafuse_deploy.models.registry import model_config

    against = tuple(peers.split(",")) if peers is not None else installed_peers()
    if absent := set(PEERS).difference(against) if peers is None else ():
        note(f"Not installed here, so not compared with: {', '.join(sorted(absent))}.")
    note(f"Preparing {model if model and data else arch} and its dense counterpart ...")
    if stream:
        stream_options = StreamBenchmarkOptions(
            mix=parse_mix(policy_mix),
            precision=precision,
            peers=tuple(name for name in against if name != "torch"),
            threads=threads,
            streams=clips,
            frames=rounds,
            memory_frames=frames,
            max_seconds=max_seconds,
            max_disturbance=max_disturbance,
        )
        config = model_config(arch, size=size)
        found = run_stream_benchmark(config, stream_options, progress=talkative())
        found = {"arch": arch, "size": size, "precision": precision, **found}
        _report(found, report_lines(found), json_file, html_file)
        return
    options = BenchmarkOptions(
        mix=parse_mix(policy_mix),
        precision=precision,
        isa=isa,
        peers=against,
        threads=threads,
        clips=clips,
        rounds=rounds,
        max_seconds=max_seconds,
        max_disturbance=max_disturbance,
    )
    pictures: Sequence[Sequence[str]] = ()
    if model and data:
        network = RealPolicies(model, data, reading)
        seen, watch = _seen(read_metadata(model), html_file)
        found = run_benchmark(network, options, progress=talkative(), watch=watch)
        found = {"precision": precision, **found, **seen.to_dict()}
        pictures = seen.pictures
    else:
        found = run_benchmark(model_config(arch, size=size), options, progress=talkative())
        found = {"arch": arch, "size": size, "precision": precision, **found}
    _report(found, _lines(found), json_file, html_file, model, pictures)


def _end_to_end(
    video: str,
    model: Path | None,
    data: Path | None,
    threads: int,
    rounds: int,
    max_seconds: float,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Time a network from a video to its label."""
    from adafuse_deploy.benchmark.end_to_end import end_to_end_lines, time_video
    from adafuse_deploy.engines.loader import load_engine

    if model is None or data is not None:
        raise click.UsageError(
            "--end-to-end times a --model on its video; give it, without --data."
        )
    with load_engine(model, threads=threads) as engine:
        metadata = engine.metadata
        seen, watch = _seen(metadata, html_file)
        found = time_video(
            engine,
            video,
            rounds=rounds,
            max_seconds=max_seconds,
            progress=talkative(),
            watch=lambda clip, prediction: watch(clip, prediction, video),
        )
    found = {"threads": threads, **found, **seen.to_dict()}
    _report(found, end_to_end_lines(found), json_file, html_file, model, seen.pictures)


def _seen(metadata: GraphMetadata, html_file: Path | None) -> tuple[Seen, Callable[..., None]]:
    """Return what remembers clips, and what to show it each with the name of its video."""
    from adafuse_deploy.report.seen import Seen

    names: list[str] = []
    seen = Seen(
        metadata.config,
        metadata.layers,
        metadata.gates,
        lambda number: (names[number], None),
        with_pictures=html_file is not None,
    )

    def watch(clip: Any, prediction: Any, video: str) -> None:
        names.append(video)
        seen.add(clip[None], prediction)

    return seen, watch


def _report(
    values: dict[str, Any],
    lines: list[str],
    json_file: str | None,
    html_file: Path | None,
    model: Path | None = None,
    pictures: Sequence[Sequence[str]] = (),
) -> None:
    """Write and say what was found, and on what."""
    from adafuse_deploy.commands.circumstances import circumstances

    around = circumstances([model])
    around["versions"] |= values.get("versions", {})

    def page(found: dict[str, Any]) -> str:
        from adafuse_deploy.report.bench_page import bench_page
        from adafuse_deploy.report.page import render

        return render(bench_page(found, {"policy_maps": pictures}))

    report({**values, **around}, lines, json_file, html_file, page)


def _lines(report: dict[str, Any]) -> list[str]:
    engines = [report["ours"], *report["peers"]]
    rows = [
        f"{engine['name']:<12} {engine['p50_ms']:8.1f} ms  ({engine['p25_ms']:.1f} to "
        f"{engine['p75_ms']:.1f}; {engine['samples']} runs, {engine['dropped']} dropped)  "
        f"{engine['peak_rss_mb']:.0f} MB"
        for engine in engines
    ]
    saved, realised = report["saved"], report["saved"]["realised_share"]
    share = "" if realised is None else f", a realised share of {100 * realised:.0f} %"
    return [
        *rows,
        *(f"{entry['name']:<12} missing: {entry['reason']}" for entry in report["missing"]),
        f"Speed-up over {report['best_peer']}: {report['speedup']:.2f}; "
        f"{100 * saved['macs_share']:.1f} % of the multiply-accumulates and "
        f"{100 * saved['time_share']:.1f} % of the time saved{share}.",
    ]

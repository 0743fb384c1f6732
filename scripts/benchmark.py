"""Measure everything that docs/benchmarks publishes, and write its tables from the reports.

Every kind of machine has its reports and its tables.  Rows that this version has measured before on
this kind are kept; --again measures them anew.  A quiet machine of two processors needs about 40
minutes.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machines
from page import write_section

from adafuse_deploy import __version__
from adafuse_deploy.assets import SHIPPED
from adafuse_deploy.benchmark.machine import describe_machine

PAGE = machines.BENCHMARKS / "README.md"
PRECISIONS = ("fp32", "bf16", "int8")
STREAM_PRECISIONS = ("fp32", "bf16")
MIXES = ("dense", "sthv1", "sthv2", "jester")
EXTRA_MIX = "minikinetics"
FAST_PEERS = ("--peers", "openvino,onnxruntime")
KEEP_SHARES = (0.8, 0.6, 0.4, 0.2, 0.1)  # of the sweep; the rest is skip : reuse = 2 : 1
SWEPT = "resnet50-dense-fp32"  # where the sweep begins
CLIPS, CLIPS_SEED, OBSERVED_SEED = 64, 901, 900

Report = dict[str, Any]


def rows() -> dict[str, list[str]]:
    """Return file stem -> arguments of 'adafuse-deploy bench'."""
    table: dict[str, list[str]] = {}
    for precision in PRECISIONS:
        for mix in MIXES:
            table[f"resnet50-{mix}-{precision}"] = [
                *("--policy-mix", mix, "--precision", precision, *FAST_PEERS)
            ]
    # Alone: beside PyTorch other engines measure slower.
    table["resnet50-sthv2-pytorch-fp32"] = ["--peers", "torch"]
    table[f"resnet50-{EXTRA_MIX}-fp32"] = ["--policy-mix", EXTRA_MIX, *FAST_PEERS]
    for precision in PRECISIONS:
        arch = ("--arch", "adafuse_tsm_resnet18")
        table[f"resnet18-sthv2-{precision}"] = [*arch, "--precision", precision, *FAST_PEERS]
    for precision in PRECISIONS:
        arch = ("--arch", "adafuse_tsn_bninception")
        table[f"bninception-sthv2-{precision}"] = [*arch, "--precision", precision, *FAST_PEERS]
    for precision in ("fp32", "int8"):
        table[f"resnet50-sthv2-8clips-{precision}"] = [
            *("--clips", "8", "--precision", precision, "--peers", "openvino")
        ]
    table["resnet50-sthv2-avx2-fp32"] = ["--isa", "avx2", *FAST_PEERS]
    for keep in KEEP_SHARES:
        skip = round((1 - keep) * 2 / 3, 4)
        mix = f"{skip},{round(1 - keep - skip, 4)},{keep}"
        table[f"sweep-keep{round(100 * keep):03d}-fp32"] = ["--policy-mix", mix, *FAST_PEERS]
    for precision in PRECISIONS:
        graph = "shipped.int8.onnx" if precision == "int8" else "shipped.onnx"
        table[f"shipped-{precision}"] = [
            *("--model", graph, "--data", "videos/list.txt", "--precision", precision)
        ]
    for depth in (50, 18):
        for precision in STREAM_PRECISIONS:
            table[f"stream-resnet{depth}-sthv2-{precision}"] = [
                *("--stream", "--arch", f"adafuse_tsn_resnet{depth}"),
                *("--precision", precision, *FAST_PEERS),
            ]
    table["stream-resnet50-sthv2-4streams-fp32"] = [
        *("--stream", "--arch", "adafuse_tsn_resnet50", "--clips", "4", *FAST_PEERS)
    ]
    return table


def prepare_shipped(folder: Path) -> None:
    """Export and quantise the shipped network, and make videos that it has not seen."""
    commands = (
        ("synthesize", "videos", "--count", CLIPS, "--seed", CLIPS_SEED),
        ("synthesize", "observed", "--count", CLIPS, "--seed", OBSERVED_SEED),
        ("export", SHIPPED, "-o", "shipped.onnx"),
        ("quantize", "shipped.onnx", "--data", "observed/list.txt", "-o", "shipped.int8.onnx"),
    )
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "adafuse_deploy.cli", *map(str, command)],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def is_current(path: Path) -> bool:
    """Whether this version wrote the report."""
    if not path.exists():
        return False
    version: str = json.loads(path.read_text())["versions"]["adafuse-deploy"]
    return version == __version__


def table(columns: dict[str, Callable[[str, Report], str]], reports: dict[str, Report]) -> str:
    """Return a Markdown table with a line per report."""
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for name, report in reports.items():
        cells = (cell(name, report) for cell in columns.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _time(engine: str) -> Callable[[str, Report], str]:
    def cell(_: str, report: Report) -> str:
        for entry in (report["ours"], *report["peers"]):
            if entry["name"] == engine:
                half = (entry["p75_ms"] - entry["p25_ms"]) / 2
                digits = 0 if entry["p50_ms"] >= 20 else 1
                return f"{entry['p50_ms']:.{digits}f} ± {half:.{digits}f}"
        return "-"

    return cell


def _resource(engine: str, key: str) -> Callable[[str, Report], str]:
    def cell(_: str, report: Report) -> str:
        engines = {entry["name"]: entry for entry in (report["ours"], *report["peers"])}
        return f"{engines[engine][key]:.0f}" if engine in engines else "-"

    return cell


CLIP_COLUMNS: dict[str, Callable[[str, Report], str]] = {
    "row": lambda name, _: name,
    "ours": _time("ours"),
    "OpenVINO": _time("openvino"),
    "ONNX Runtime": _time("onnxruntime"),
    "PyTorch": _time("torch"),
    "fewer MACs": lambda _, report: f"{report['macs_dense'] / report['macs_adaptive']:.2f}",
    "speed-up": lambda _, report: f"{report['speedup']:.2f}",
    "realised": lambda _, report: f"{report['realised']:.2f}",
}
RESOURCE_COLUMNS: dict[str, Callable[[str, Report], str]] = {
    "row": lambda name, _: name,
    **{
        f"{title}, {unit}": _resource(engine, key)
        for key, unit in (("peak_rss_mb", "MB"), ("load_ms", "load ms"))
        for engine, title in (
            ("ours", "ours"),
            ("openvino", "OpenVINO"),
            ("onnxruntime", "ONNX Runtime"),
        )
    },
}


def _stream_time(name: str) -> Callable[[str, Report], str]:
    def cell(_: str, report: Report) -> str:
        engines = {entry["name"]: entry for entry in (report["ours"], *report["peers"])}
        if name not in engines:
            return "-"
        return f"{engines[name]['p50_ms']:.1f} / {engines[name]['p99_ms']:.1f}"

    return cell


STREAM_COLUMNS: dict[str, Callable[[str, Report], str]] = {
    "row": lambda name, _: name,
    "ours": _stream_time("ours"),
    "OpenVINO, frame": _stream_time("openvino frame"),
    "ONNX Runtime, frame": _stream_time("onnxruntime frame"),
    "OpenVINO, window": _stream_time("openvino window"),
    "ONNX Runtime, window": _stream_time("onnxruntime window"),
    "over best frame": lambda _, report: f"{report['speedup_over_frame']:.2f}",
    "over best window": lambda _, report: f"{report['speedup_over_window']:.2f}",
    "state, MB": lambda _, report: f"{report['state_mb_per_stream']:.1f}",
}


def break_even(sweep: list[Report]) -> str:
    """Return from which share of kept channels on ours is faster than the best peer."""
    points = sorted((report["policy_mix"]["keep"], report["speedup"]) for report in sweep)
    if not points:
        return ""
    slower = [keep for keep, speedup in points if speedup < 1]
    if not slower:
        return "Ours is faster than the best peer at every share, also when it keeps everything."
    faster = [keep for keep, speedup in points if speedup >= 1 and keep < min(slower)]
    if not faster:
        return "Ours is slower than the best peer at every share measured."
    return f"Ours pays between {max(faster):.0%} and {min(slower):.0%} of kept channels."


def tables(reports: dict[str, Report]) -> str:
    """Return the Markdown sections of the reports by name, all of one machine."""

    def chosen(*patterns: str) -> dict[str, Report]:
        return {
            name: report
            for name, report in reports.items()
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        }

    sweep = chosen(SWEPT, "sweep-*")
    missing = {
        f"{entry['name']} in {name}: {entry['reason']}."
        for name, report in chosen("[!s]*", "shipped-*").items()
        for entry in report["missing"]
    }
    sections = [
        f"## {machines.title(next(iter(reports.values()))['machine'])}",
        "### Policy mixes, ResNet-50 TSM\n\n"
        + table(CLIP_COLUMNS, chosen(*(f"resnet50-{mix}-????" for mix in (*MIXES, EXTRA_MIX)))),
        "### Other networks and settings\n\n"
        + table(CLIP_COLUMNS, chosen("resnet18-*", "bninception-*", "*-8clips-*", "*-avx2-*")),
        "### Sweep\n\n" + table(CLIP_COLUMNS, sweep) + "\n\n" + break_even(list(sweep.values())),
        "### The shipped network on videos\n\n" + table(CLIP_COLUMNS, chosen("shipped-*")),
        "### Streams, ms for the next frame of all, p50 / p99\n\n"
        + table(STREAM_COLUMNS, chosen("stream-*")),
        "### Memory and loading\n\n" + table(RESOURCE_COLUMNS, chosen("resnet50-sthv2-????")),
        "### Missing\n\n" + "\n".join(f"- {line}" for line in sorted(missing)),
    ]
    return "\n\n".join(sections)


def stored(folder: Path) -> dict[str, Report]:
    """Return the reports of a machine's folder by name."""
    paths = {name: folder / f"{name}.json" for name in rows()}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def measure(options: argparse.Namespace, folder: Path) -> list[str]:
    """Measure the rows that are wanted and return those that could not be."""
    failed = []
    reports = machines.folder(describe_machine())
    reports.mkdir(exist_ok=True)
    wanted = {
        name: arguments
        for name, arguments in rows().items()
        if fnmatch.fnmatch(name, options.only)
        and (options.again or not is_current(reports / f"{name}.json"))
    }
    if any(name.startswith("shipped") for name in wanted):
        prepare_shipped(folder)
    for name, arguments in wanted.items():
        print(f"{name} ...", flush=True)
        rounds = 10 * options.rounds if "--stream" in arguments else options.rounds
        command = [sys.executable, "-m", "adafuse_deploy.cli", "bench", *arguments]
        command += ["--threads", str(options.threads), "--rounds", str(rounds)]
        command += ["--json", str(reports / f"{name}.json")]
        if subprocess.run(command, cwd=folder).returncode:
            failed.append(name)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="*", help="pattern of rows, such as 'resnet50-*-bf16'")
    parser.add_argument("--again", action="store_true", help="measure rows that are there, too")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="adafuse-benchmark-") as folder:
        failed = measure(options, Path(folder))
    every = [stored(path) for path in machines.folders(*(f"{name}.json" for name in rows()))]
    write_section(PAGE, "tables", "benchmark.py", "\n\n".join(map(tables, every)))
    if failed:
        print(f"Not measured: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

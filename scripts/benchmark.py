"""Measure everything that docs/benchmarks publishes, and write its tables from the reports.

Rows that this version has measured before are kept; --again measures them anew.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from adafuse_deploy import __version__

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
BEGIN, END = "<!-- tables: scripts/benchmark.py writes them -->", "<!-- end of tables -->"
MIXES = ("dense", "sthv1", "sthv2", "jester", "minikinetics")
PEERS = ("openvino", "onnxruntime", "torch")
KEEP_SHARES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1)  # of the sweep; the rest is skip : reuse = 2 : 1


def rows() -> dict[str, list[str]]:
    """Return file stem -> arguments of 'adafuse-deploy bench'."""
    table: dict[str, list[str]] = {}
    for precision in ("fp32", "bf16"):
        for mix in MIXES:
            table[f"resnet50-{mix}-{precision}"] = ["--policy-mix", mix, "--precision", precision]
        table[f"resnet18-sthv2-{precision}"] = [
            *("--arch", "adafuse_tsm_resnet18", "--precision", precision)
        ]
        table[f"bninception-sthv2-{precision}"] = [
            *("--arch", "adafuse_tsn_bninception", "--precision", precision)
        ]
    table["resnet50-sthv2-8clips-fp32"] = ["--clips", "8"]
    table["resnet50-sthv2-avx2-fp32"] = ["--isa", "avx2"]
    for keep in KEEP_SHARES:
        skip = round((1 - keep) * 2 / 3, 4)
        mix = f"{skip},{round(1 - keep - skip, 4)},{keep}"
        table[f"sweep-keep{round(100 * keep):03d}-fp32"] = [
            *("--policy-mix", mix, "--peers", "openvino,onnxruntime")
        ]
    return table


def is_current(path: Path) -> bool:
    """Whether this version wrote the report."""
    if not path.exists():
        return False
    return json.loads(path.read_text())["versions"]["adafuse-deploy"] == __version__


def tables(reports: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown tables of the reports by name."""
    columns = ["row", "clips", "ours", *PEERS, "fewer MACs", "speed-up", "realised", "missing"]
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for name, report in reports.items():
        times = {peer["name"]: f"{peer['p50_ms']:.0f}" for peer in report["peers"]}
        missing = "; ".join(f"{e['name']}: {e['reason']}" for e in report["missing"])
        cells = [
            *(name, str(report["clips"]), f"{report['ours']['p50_ms']:.0f}"),
            *(times.get(peer, "-") for peer in PEERS),
            f"{report['macs_dense'] / report['macs_adaptive']:.2f}",
            *(f"{report['speedup']:.2f}", f"{report['realised']:.2f}", missing),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    columns = ["row", *(f"{n} {what}" for what in ("load ms", "MB") for n in ("ours", *PEERS))]
    lines += ["", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for name, report in reports.items():
        engines = {engine["name"]: engine for engine in (report["ours"], *report["peers"])}
        cells = [
            f"{engines[engine][key]:.0f}" if engine in engines else "-"
            for key in ("load_ms", "peak_rss_mb")
            for engine in ("ours", *PEERS)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="*", help="pattern of rows, such as 'resnet50-*-bf16'")
    parser.add_argument("--again", action="store_true", help="measure rows that are there, too")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    failed = []
    for name, arguments in rows().items():
        path = FOLDER / f"{name}.json"
        if not fnmatch.fnmatch(name, options.only) or (is_current(path) and not options.again):
            continue
        print(f"{name} ...", flush=True)
        command = [sys.executable, "-m", "adafuse_deploy.cli", "bench", *arguments]
        command += ["--threads", str(options.threads), "--rounds", str(options.rounds)]
        if subprocess.run([*command, "--json", str(path)]).returncode:
            failed.append(name)
    paths = {name: FOLDER / f"{name}.json" for name in rows()}
    reports = {name: json.loads(p.read_text()) for name, p in paths.items() if p.exists()}
    page = FOLDER / "README.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(reports)}\n\n{END}{after}")
    if failed:
        print(f"Not measured: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

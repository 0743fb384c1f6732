"""Predict the time of every published policy mix from the profiles of two, and measure them all.

    python scripts/cost_model.py [ROW ...] [--rounds 40] [--threads 1]

Writes cost_model.json in the machine's folder of docs/benchmarks, and tables into docs/profile.md.
The mixes take turns, so that a machine that drifts does so for all; it should have nothing else to
do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import machines
import torch
from page import DOCS, table, write_section

from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.mixes import MIXES
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import model_config
from adafuse_deploy.profiling.cost_model import FITTED, CostModel, mix_macs
from adafuse_deploy.profiling.profiler import ProfileOptions, profile_in_turn

ROWS = {
    "resnet50-fp32": ("adafuse_tsm_resnet50", "fp32", 224),
    "resnet50-bf16": ("adafuse_tsm_resnet50", "bf16", 224),
    "resnet18-fp32": ("adafuse_tsm_resnet18", "fp32", 224),
    "resnet18-112-fp32": ("adafuse_tsm_resnet18", "fp32", 112),
    "bninception-fp32": ("adafuse_tsn_bninception", "fp32", 224),
}
"""Name to network, precision and pixels."""
REPORT, PAGE = "cost_model.json", DOCS / "profile.md"


def measure(row: str, options: ProfileOptions) -> dict[str, dict[str, float]]:
    """Return mix -> milliseconds as measured, as recorded and as predicted."""
    arch, precision, size = ROWS[row]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="adafuse-cost-model-") as folder:
        portable, graph = Path(folder, "portable.onnx"), Path(folder, "fused.onnx")
        export(VideoRecognizer(model_config(arch, size=size)).eval(), portable)
        lower(portable, graph, precision=precision)
        taken = profile_in_turn(graph, list(MIXES.values()), None, options, progress=True)
        profiles = dict(zip(MIXES, taken, strict=True))
        model = CostModel([profiles[name] for name in FITTED])
        return {
            name: {
                "measured_ms": profiles[name].end_to_end_ms,
                "recorded_ms": profiles[name].recorded_ms,
                "predicted_ms": model.predict(mix_macs(graph, mix)),
                "macs_asked": profiles[name].macs[1],
            }
            for name, mix in MIXES.items()
        }


def page_table(report: dict[str, Any]) -> str:
    """Return a machine's figures as a Markdown table."""
    rows = []
    for row, entry in report["rows"].items():
        for mix, found in entry["mixes"].items():
            measured, predicted = found["measured_ms"], found["predicted_ms"]
            error = f"{100 * (predicted / measured - 1):+.1f} %"
            rows.append(
                [
                    f"{row}, {entry['threads']} thread{'s' if entry['threads'] > 1 else ''}",
                    mix,
                    f"{measured:.1f}",
                    f"{predicted:.1f}",
                    f"({error})" if mix in FITTED else error,
                    f"{100 * (found['recorded_ms'] / measured - 1):+.1f} %",
                ]
            )
    columns = ["", "mix", "measured, ms", "predicted, ms", "error", "all rows, beside measured"]
    return table(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=40, help="of each mix and kind [40]")
    parser.add_argument("--threads", type=int, default=1, help="of the engines [1]")
    parser.add_argument("--max-seconds", type=float, default=900.0, help="of a row [900]")
    given = parser.parse_args()
    options = ProfileOptions(given.threads, given.rounds, given.max_seconds)
    machine = describe_machine()
    path = machines.folder(machine) / REPORT
    old = json.loads(path.read_text())["rows"] if path.exists() else {}
    how = {"threads": given.threads, "rounds": given.rounds}
    rows = {**old, **{r: {**how, "mixes": measure(r, options)} for r in given.rows or ROWS}}
    report = {"rows": {row: rows[row] for row in ROWS if row in rows}, "machine": machine}
    machines.save(report, REPORT)
    write_section(PAGE, "cost model", "cost_model.py", machines.all_tables(REPORT, page_table))


if __name__ == "__main__":
    main()

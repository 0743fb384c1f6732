"""Tables and plots of a reproduction: docs/reproduction/{README.md,results.json,*.png}."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from adafuse_deploy.core.files import atomic_path, write_text
from adafuse_deploy.core.json_text import json_text

Result = dict[str, Any]
SYSTEMS = {
    "tsn": "TSN",
    "tsm": "TSM",
    "adafuse_tsn": "AdaFuse TSN",
    "adafuse_tsm": "AdaFuse TSM",
    "adafuse_tsm_last": "AdaFuse TSM+Last",
}
ACTIONS = {"skip": "#c8c8c8", "reuse": "#f0a030", "keep": "#2f6fb0"}


def write_report(
    results: list[Result], gating: dict[str, dict[str, float]], setting: Any, output: Path
) -> Path:
    """Write the report and return its path.

    Args:
        results: what every run gave, see ``reproduce.run_job``.
        gating: per gated system, weight of the FLOPs term and sampled part in the table.
        setting: the sizes, a ``reproduce.Setting``.
        output: folder to write into.
    """
    output.mkdir(parents=True, exist_ok=True)
    final = [result for result in results if not result["first"]]
    table = {
        system: [
            result
            for result in final
            if result["system"] == system
            and all(result[name] == value for name, value in gating.get(system, {}).items())
        ]
        for system in SYSTEMS
    }
    curve: dict[float, list[Result]] = {}
    for result in final:
        if result["system"] == "adafuse_tsm" and not result["sampled"]:
            curve.setdefault(result["flops_weight"], []).append(result)
    weight = gating["adafuse_tsm"]["flops_weight"]
    noise: dict[float, list[Result]] = {}
    for result in final:
        if result["system"] == "adafuse_tsm" and result["flops_weight"] == weight:
            noise.setdefault(result["sampled"], []).append(result)
    content = {"setting": asdict(setting), "gating": gating, "runs": results}
    write_text(output / "results.json", json_text(content, indent=1) + "\n")
    _plot_curve(table, curve, output / "curve.png")
    _plot_mix(table, output / "policies.png")
    minutes = sum(result["seconds"] for result in results) / 60
    write_text(output / "README.md", _readme(table, curve, noise, setting, minutes))
    return output / "README.md"


def _readme(
    table: dict[str, list[Result]],
    curve: dict[float, list[Result]],
    noise: dict[float, list[Result]],
    setting: Any,
    minutes: float,
) -> str:
    seeds = ", ".join(str(result["seed"]) for result in table["tsm"])
    lines = [
        "# The paper's claims in miniature",
        "",
        "The paper's systems, trained and measured on procedural videos. Written by `python "
        "scripts/reproduce.py` (`make reproduce`); do not edit by hand. What it means is discussed "
        "in [discussion.md](discussion.md).",
        "",
        f"ResNet-18 with {setting.width:g} of the channels, {setting.size} x {setting.size} pixels,"
        f" 8 frames; {setting.train} procedural training clips of 12 classes in time-reversed "
        f"pairs, {setting.test} test clips. Every system starts from "
        f"the same dense TSN or TSM (by seed), trained for {setting.dense_epochs} epochs, and then "
        f"trains {setting.epochs} more epochs, with gates or without; the last epoch counts. "
        f"Seeds {seeds}; ± is the standard deviation over them. Policies are the argmax of "
        "deployment. MMACs are millions of multiply-accumulates per clip, policy networks "
        f"included. All runs together took {minutes:.0f} process minutes on a shared CPU.",
        "",
        "| System | λ | sampled | Top-1 (%) | MMACs per clip | of dense | skip / reuse / keep |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(SYSTEMS[system], runs) for system, runs in table.items()]
    lines += ["", "## Claims", "", *_claims(table), ""]
    lines += ["## Accuracy against FLOPs", "", "![curve](curve.png)", ""]
    lines += [
        "| λ | Top-1 (%) | MMACs per clip | of dense | seeds |",
        "|---|---|---|---|---|",
        *(
            f"| {weight:g} | {_spread(runs, 'top1')} | {_spread(runs, 'gmacs', 1000, 2)} | "
            f"{_share(runs)} | {len(runs)} |"
            for weight, runs in sorted(curve.items())
        ),
        "",
        "## Sampling or argmax in training",
        "",
        "AdaFuse TSM of the table (no sampling: policies are the argmax, with straight-through "
        "gradients) beside runs that draw policies with Gumbel noise in the first part of "
        "training; tested under argmax policies, as deployed, and under sampled ones, as the "
        "paper was.",
        "",
        "| Sampled part | Top-1, argmax (%) | of dense | Top-1, sampled (%) | of dense | seeds |",
        "|---|---|---|---|---|---|",
        *(
            f"| {100 * part:.0f} % | {_spread(runs, 'top1')} | {_share(runs)} | "
            f"{_spread(_sampled(runs), 'top1')} | {_share(_sampled(runs))} | {len(runs)} |"
            for part, runs in sorted(noise.items())
        ),
        "",
        "## Policies by depth",
        "",
        "![policies](policies.png)",
        "",
        "The paper finds that with depth skip falls (from about 90 % of the channels) and reuse "
        "rises (to about 30 %). Spearman's rank correlation with depth, here:",
        "",
        "| System | skip | reuse | keep |",
        "|---|---|---|---|",
    ]
    for system in ("adafuse_tsn", "adafuse_tsm"):
        trends = [f"{_trend(table[system], action):+.2f}" for action in ACTIONS]
        lines.append(f"| {SYSTEMS[system]} | {' | '.join(trends)} |")
    for system in ("adafuse_tsn", "adafuse_tsm", "adafuse_tsm_last"):
        lines += ["", f"{SYSTEMS[system]}, mean over the seeds:", ""]
        lines += ["| Gate | skip | reuse | keep |", "|---|---|---|---|"]
        for name, *shares in _mix(table[system]):
            lines.append(f"| {name} | " + " | ".join(f"{s:.2f}" for s in shares) + " |")
    return "\n".join(lines) + "\n"


def _claims(table: dict[str, list[Result]]) -> list[str]:
    def claim(gated: str, dense: str, least: float, most: float, text: str) -> str:
        gains = [
            a["test"]["top1"] - b["test"]["top1"]
            for a, b in zip(table[gated], table[dense], strict=True)
        ]
        gain = statistics.fmean(gains)
        share = 100 * _mean(table[gated], lambda r: r["test"]["relative_flops"])
        verdict = "**holds**" if gain >= least and share <= most else "**does not hold**"
        return (
            f"- {text}: {verdict}. Difference {gain:+.2f} points (by seed: "
            f"{', '.join(f'{g:+.2f}' for g in gains)}) at {share:.1f} % of the FLOPs."
        )

    return [
        claim("adafuse_tsn", "tsn", 20, 67, "AdaFuse TSN ≥ TSN + 20 points at ≤ 67 % of its FLOPs"),
        claim("adafuse_tsm", "tsm", -1, 60, "AdaFuse TSM within 1 point of TSM at ≤ 60 %"),
        claim("adafuse_tsm_last", "tsm", 0.5, 95, "TSM+Last ≥ TSM + 0.5 point at ≤ 95 %"),
    ]


def _row(name: str, runs: list[Result]) -> str:
    overall = [r["test"]["overall"] for r in runs]
    mix, gating = "-", "- | -"
    if overall[0] is not None:
        mix = " / ".join(
            f"{statistics.fmean(o[action] for o in overall):.2f}" for action in ACTIONS
        )
        gating = f"{runs[0]['flops_weight']:g} | {100 * runs[0]['sampled']:.0f} %"
    return (
        f"| {name} | {gating} | {_spread(runs, 'top1')} | {_spread(runs, 'gmacs', 1000, 2)} | "
        f"{_share(runs)} | {mix} |"
    )


def _sampled(runs: list[Result]) -> list[Result]:
    """Return the runs with their figures under sampled policies in place of argmax."""
    return [{**run, "test": run["test_sampled"]} for run in runs]


def _mean(runs: Iterable[Result], value: Callable[[Result], float]) -> float:
    return statistics.fmean(value(run) for run in runs)


def _spread(runs: list[Result], name: str, factor: float = 1.0, digits: int = 1) -> str:
    values = [factor * run["test"][name] for run in runs]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}"


def _share(runs: list[Result]) -> str:
    return f"{100 * _mean(runs, lambda r: r['test']['relative_flops']):.1f} %"


def _mix(runs: list[Result]) -> list[tuple[str, float, float, float]]:
    """Return (gate, skip, reuse, keep) per gate, means over the runs."""
    gates = zip(*(run["test"]["gates"] for run in runs), strict=True)
    return [
        (
            same[0]["name"].removesuffix(".gate1"),
            *(statistics.fmean(gate[action] for gate in same) for action in ACTIONS),
        )
        for same in gates
    ]


def _trend(runs: list[Result], action: str) -> float:
    """Return the rank correlation of an action's share with depth."""
    column = 1 + list(ACTIONS).index(action)
    shares = [row[column] for row in _mix(runs)]
    ranks = [sum(other < share for other in shares) for share in shares]
    return statistics.correlation(range(len(shares)), ranks) if len(set(ranks)) > 1 else 0.0


def _plot_curve(
    table: dict[str, list[Result]], curve: dict[float, list[Result]], path: Path
) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.2))

    def point(runs: list[Result], **style: Any) -> tuple[float, float]:
        x = 1000 * _mean(runs, lambda r: r["test"]["gmacs"])
        accuracies = [r["test"]["top1"] for r in runs]
        y = statistics.fmean(accuracies)
        spread = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
        axes.errorbar([x], [y], yerr=[spread], capsize=3, **style)
        return x, y

    points = [
        (*point(runs, fmt="o", color="#2f6fb0"), weight) for weight, runs in sorted(curve.items())
    ]
    axes.plot([p[0] for p in points], [p[1] for p in points], color="#2f6fb0", label="AdaFuse TSM")
    for x, y, weight in points:
        axes.annotate(f"λ={weight:g}", (x, y), xytext=(-8, 10), textcoords="offset points")
    for system, marker, color in (
        ("tsm", "s", "#303030"),
        ("adafuse_tsm_last", "D", "#f0a030"),
        ("adafuse_tsn", "v", "#3a9a50"),
    ):
        point(table[system], fmt=marker, color=color, label=SYSTEMS[system])
    axes.set_xlabel("MMACs per clip (multiply-accumulates)")
    axes.set_ylabel("Top-1 (%)")
    tsn = _mean(table["tsn"], lambda r: r["test"]["top1"])
    axes.set_title(f"TSN, far below, reaches {tsn:.1f} % at the FLOPs of TSM", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def _plot_mix(table: dict[str, list[Result]], path: Path) -> None:
    systems = ("adafuse_tsn", "adafuse_tsm")
    figure, rows = plt.subplots(1, len(systems), figsize=(9, 3.6), sharey=True)
    for axes, system in zip(rows, systems, strict=True):
        mix = _mix(table[system])
        bottom = [0.0] * len(mix)
        for column, (action, color) in enumerate(ACTIONS.items(), 1):
            shares = [row[column] for row in mix]
            axes.bar([row[0] for row in mix], shares, bottom=bottom, color=color, label=action)
            bottom = [b + s for b, s in zip(bottom, shares, strict=True)]
        axes.set_title(SYSTEMS[system])
        axes.tick_params(axis="x", rotation=45)
    rows[0].set_ylabel("share of decisions")
    rows[-1].legend(loc="lower right")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)

"""``adafuse-deploy profile``: where the milliseconds of a graph go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adafuse_deploy.commands.options import (
    ANY_PATH,
    ModelFile,
    Number,
    OutputFile,
    html_option,
    json_option,
    verb,
)
from adafuse_deploy.commands.output import made, note, report, talkative
from adafuse_deploy.engines.suffixes import GRAPHS


@verb(
    epilog="\b\nExamples:\n"
    "  adafuse-deploy profile model.cpu.onnx video.mp4 --trace trace.json\n"
    "  adafuse-deploy profile model.cpu.onnx --policy-mix sthv2 --threads 2 --json profile.json\n"
    "  adafuse-deploy profile model.cpu.onnx --predict sthv1 --predict 0.5,0.2,0.3"
)
@click.argument("model", type=ModelFile(*GRAPHS))
@click.argument("video", type=ANY_PATH, required=False)
@click.option(
    "--policy-mix",
    metavar="MIX",
    help="Obey policies drawn from a mix instead of the network's own: sthv1, sthv2, jester, "
    "minikinetics, dense, or shares of skip,reuse,keep.",
)
@click.option(
    "--predict",
    metavar="MIX",
    multiple=True,
    help="Predict the time of a mix, from profiles of two others; more than once for several.",
)
@click.option(
    "--saved",
    is_flag=True,
    help="Profile the graph in turn while it keeps every channel too: what its decisions save, "
    "node by node.",
)
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run the graph on the operator library (default) or on its function bodies.",
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--rounds",
    type=click.IntRange(2),
    default=20,
    show_default=True,
    help="Of each kind: recorded and not recorded.",
)
@click.option("--max-seconds", type=Number(0), default=60.0, show_default=True, help="Of timing.")
@click.option(
    "--trace",
    type=OutputFile(".json"),
    metavar="FILE",
    help="Write one round as a time line to FILE, which Perfetto (ui.perfetto.dev) opens.",
)
@html_option
@json_option
def command(
    model: Path,
    video: str | None,
    policy_mix: str | None,
    predict: tuple[str, ...],
    saved: bool,
    operator_library: bool,
    threads: int,
    rounds: int,
    max_seconds: float,
    trace: Path | None,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Show where the time of MODEL, a graph, goes on this machine's CPU when it sees VIDEO.

    A row for every node that computes layers: milliseconds, in what our operators spent them,
    multiply-accumulates (MMACs of the whole layer, asked for by the decisions, done), the share of
    what this machine multiplies at most, and megabytes of weights, activations and state.  Other
    nodes have a row for each operator, and what is between them is called runtime: all rows add up
    to the time of a run.

    Without VIDEO it sees noise, which says nothing about a trained network's decisions.
    """
    from adafuse_deploy.benchmark.mixes import parse_mix
    from adafuse_deploy.commands.circumstances import circumstances
    from adafuse_deploy.profiling.cost_model import FITTED, fit_model, mix_macs
    from adafuse_deploy.profiling.profiler import ProfileOptions, profile_in_turn
    from adafuse_deploy.profiling.saved import KEEP_ALL, saved_by_decisions

    if video is not None and policy_mix is not None:
        raise click.UsageError(
            "Under --policy-mix nothing depends on what the network sees; leave out VIDEO or it."
        )
    mix = parse_mix(policy_mix) if policy_mix is not None else None
    wanted = {text: parse_mix(text) for text in predict}
    options = ProfileOptions(threads, rounds, max_seconds, operator_library)
    note(f"Profiling {model} ...")
    mixes = [mix, KEEP_ALL] if saved else [mix]
    found, *kept = profile_in_turn(model, mixes, video, options, trace=trace, progress=talkative())
    values, lines = found.to_dict(), found.lines()
    if kept:
        values["saved"] = saved_by_decisions(found, kept[0])
        total = values["saved"]["total"]
        lines.append(
            f"Saved by the decisions: {100 * total['macs_share']:.1f} % of the "
            f"multiply-accumulates and {100 * total['time_share']:.1f} % of the time."
        )
    if wanted:
        note(f"Fitting a cost model to {' and '.join(FITTED)} ...")
        fitted = fit_model(model, options, progress=talkative())
        predicted = {
            text: fitted.predict(mix_macs(model, shares)) for text, shares in wanted.items()
        }
        values["predicted_ms"] = predicted
        lines += [f"Predicted for {text}: {ms:.2f} ms." for text, ms in predicted.items()]
    report({**values, **circumstances([model])}, lines, json_file, html_file, _page)
    if trace is not None:
        made(f"Wrote {trace}.")


def _page(values: dict[str, Any]) -> str:
    from adafuse_deploy.report.page import render
    from adafuse_deploy.report.profile_page import profile_page

    return render(profile_page(values))

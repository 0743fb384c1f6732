"""The pages of ``bench``: clips, streams, and from a video to its label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adafuse_deploy.report import charts
from adafuse_deploy.report.numbers import (
    count,
    giga,
    milliseconds,
    quantity,
    share,
    times,
)
from adafuse_deploy.report.page import Chart, Fact, Page, Part, Section, Table
from adafuse_deploy.report.sections import Pictures, Values, decisions, machine, maps, saving_parts


def bench_page(values: Values, pictures: Pictures) -> Page:
    """Make the page of a benchmark from its JSON."""
    warnings = values.get("warnings", ())
    streams = "window" in values
    sections = list(maps(values, pictures))
    sections += [*decisions(values, "frame" if streams else "clip"), *machine(values)]
    if "parts" in values:
        whole = values["parts"]["total"]
        verdict: list[Any] = ["From the video to its label in ", milliseconds(whole["p50_ms"])]
        subtitle = (f"{values['video']} on {values['engine']}: {values['best']}.",)
        facts, first = list(_end_to_end_facts(values)), _end_to_end(values)
        return Page("bench", verdict, subtitle, facts, [first, *sections], "", warnings)
    peer = values["best_window" if streams else "best_peer"]
    speedup = values["speedup_over_window" if streams else "speedup"]
    slower = [] if speedup >= 1 else ["No gain here: "]
    verdict = [*slower, times(speedup), " as fast as ", peer]
    facts = list(_stream_facts(values) if streams else _clip_facts(values))
    first = _streams(values) if streams else _clips(values)
    return Page("bench", verdict, _subtitle(values), facts, [first, *sections], "", warnings)


def _subtitle(values: Values) -> list[Any]:
    words: list[Any] = [f"{values.get('arch') or values['model']} in {values['precision']}, on "]
    words += [count(values["threads"]), " thread" if values["threads"] == 1 else " threads"]
    if mix := values.get("policy_mix"):
        words += ["; policies drawn: keep ", share(mix["keep"]), ", reuse ", share(mix["reuse"])]
        words += [", skip ", share(mix["skip"])]
    else:
        words += ["; it decides for itself"]
    return [*words, "."]


def _engines(values: Values, upper: str, unit: str, spread: str) -> Chart:
    engines = [values["ours"], *values["peers"]]
    entries = [
        (e["name"], e.get("p25_ms", e["p50_ms"]), e["p50_ms"], e[upper], e is values["ours"])
        for e in engines
    ]
    caption = (f"Median per {unit}; {spread}. Runs that other programs disturbed do not count.",)
    return Chart(charts.latency(entries, unit, spread), caption)


def _missing(values: Values) -> list[Part]:
    rows = [[entry["name"], entry["reason"]] for entry in values["missing"]]
    return [Table("Peers that are missing", ("peer", "why"), rows)] if rows else []


def _clip_facts(values: Values) -> Iterator[Fact]:
    saved = values["saved"]
    yield Fact("ours", milliseconds(values["ours"]["p50_ms"]), ("median per call",))
    best = min(values["peers"], key=lambda peer: peer["p50_ms"])
    yield Fact("best dense peer", milliseconds(best["p50_ms"]), (best["name"],))
    yield Fact("work saved", share(saved["macs_share"]), _of_dense(values))
    yield Fact("time saved", share(saved["time_share"]), (milliseconds(saved["ms"]), " per call"))
    yield Fact(
        "saving realised", share(saved["realised_share"], 0), ("time saved over work saved",)
    )


_REALISED = ("time saved over work saved",)


def _of_dense(values: Values) -> list[Any]:
    return [giga(values["macs_adaptive"]), " of ", giga(values["macs_dense"]), " GMACs"]


def _clips(values: Values) -> Section:
    heads = ("engine", "p25", "p50", "p75", "p90", "runs", "dropped", "to load", "memory")
    rows = [
        [
            e["name"],
            *(milliseconds(e[f"p{point}_ms"]) for point in (25, 50, 75, 90)),
            count(e["samples"]),
            count(e["dropped"]),
            milliseconds(e["load_ms"]),
            quantity(e["peak_rss_mb"], "MB"),
        ]
        for e in (values["ours"], *values["peers"])
    ]
    spread = "the line is from the first to the third quartile"
    return Section(
        "Work and time",
        [
            _engines(values, "p75_ms", "call", spread),
            *saving_parts(values["saved"], values["best_peer"]),
            Table("All engines", heads, rows),
            *_missing(values),
        ],
    )


def _stream_facts(values: Values) -> Iterator[Fact]:
    yield Fact("next frame", milliseconds(values["ours"]["p50_ms"]), ("ours, median",))
    yield Fact(
        "over a window",
        times(values["speedup_over_window"]),
        (f"{values['best_window']} of ", count(values["window"]), " frames anew"),
    )
    yield Fact("over single frames", times(values["speedup_over_frame"]), (values["best_frame"],))
    note = ("of ", giga(values["macs_dense"]), " without gates")
    yield Fact("GMACs per frame", giga(values["macs_adaptive"]), note)
    yield Fact("state of a stream", quantity(values["state_mb_per_stream"], "MB"))


def _streams(values: Values) -> Section:
    heads = ("engine", "p50", "p90", "p99", "frames", "dropped", "memory")
    rows = [
        [
            e["name"],
            *(milliseconds(e[f"p{point}_ms"]) for point in (50, 90, 99)),
            count(e["samples"]),
            count(e["dropped"]),
            quantity(e["peak_rss_mb"], "MB"),
        ]
        for e in (values["ours"], *values["peers"])
    ]
    samples = [[count(s["frames"]), quantity(s["rss_mb"], "MB")] for s in values["memory"]]
    spread = "the line reaches to the 90th percentile"
    return Section(
        "Work and time",
        [
            _engines(values, "p90_ms", "frame", spread),
            *saving_parts(values["saved"], values["best_frame"]),
            Chart(charts.memory(values["memory"]), ("Resident memory while frames go by.",)),
            Table("All engines", heads, rows),
            *_missing(values),
            Table("Memory", ("frames", "resident"), samples, folded=True),
        ],
    )


def _end_to_end_facts(values: Values) -> Iterator[Fact]:
    for name, part in values["parts"].items():
        yield Fact(name, milliseconds(part["p50_ms"]), (share(part["share"]), " of the time"))
    yield Fact("rounds", count(values["rounds"]), (count(values["frames"]), " frames in the video"))


def _end_to_end(values: Values) -> Section:
    rows = [
        [name, milliseconds(p["p50_ms"]), milliseconds(p["p99_ms"]), share(p["share"])]
        for name, p in values["parts"].items()
    ]
    return Section(
        "Where the time goes",
        [
            Chart(charts.parts(values["parts"])),
            Table("Parts", ("part", "p50", "p99", "share"), rows),
        ],
    )

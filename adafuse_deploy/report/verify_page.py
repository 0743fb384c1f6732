"""The page of ``verify``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adafuse_deploy.report import charts
from adafuse_deploy.report.numbers import (
    Number,
    count,
    error,
    milliseconds,
    percent,
    quantity,
    share,
    times,
)
from adafuse_deploy.report.page import Chart, Fact, FrameMap, Legend, Page, Part, Section, Table
from adafuse_deploy.report.sections import (
    Pictures,
    Values,
    decisions,
    machine,
    maps,
    saving_parts,
    short_names,
)


def verify_page(values: Values, pictures: Pictures) -> Page:
    """Make the page of a verification from its JSON."""
    results = values["results"]
    failed = [result for result in results if not result["passed"]]
    source = values["reference"]["source"]
    peer = source if source == "PyTorch" else "the graph itself"
    if failed:
        verdict = (f"{len(failed)} of {len(results)} engines differ from {peer}",)
    elif len(results) == 1:
        verdict = (f"{results[0]['name']} answers as {peer}",)
    else:
        verdict = (f"All {len(results)} engines answer as {peer}",)
    return Page(
        "verify",
        verdict,
        (f"Compared with {source} on {values['clips']}.",),
        list(_facts(values)),
        list(_sections(values, pictures)),
        "failed" if failed else "passed",
        values.get("warnings", ()),
    )


def _facts(values: Values) -> Iterator[Fact]:
    results, reference = values["results"], values["reference"]
    ran = [result for result in results if result["clips"]]
    if ran:
        worst = min(ran, key=lambda result: result["untied_policy_agreement"] or 0)
        note = ("of all decisions, but for ties; the least of all engines",)
        yield Fact("policy agreement", percent(worst["untied_policy_agreement"]), note)
        worst = max(ran, key=lambda result: result["logits_relative_error"] or 0)
        note = ("of their RMS, at most",)
        yield Fact("error of logits", error(worst["logits_relative_error"]), note)
    if reference["top1_accuracy"] is not None:
        yield Fact("top-1 of the reference", percent(reference["top1_accuracy"]))
    best = max(_saving(results), key=lambda result: result["saved"]["speedup"], default=None)
    if best:
        saved = best["saved"]
        yield Fact("speed", times(saved["speedup"]), (f"{best['name']}, over {saved['against']}",))
        note = ("time saved over work saved",)
        yield Fact("saving realised", share(saved["realised_share"], 0), note)
    full, needed = reference["dense_gmacs_per_clip"], reference["gmacs_per_clip"]
    if full and needed:
        yield Fact("GMACs per clip", quantity(needed), ("of ", quantity(full), " without gates"))


def _saving(results: list[Any]) -> list[Any]:
    return [result for result in results if result["saved"]]


def _sections(values: Values, pictures: Pictures) -> Iterator[Section]:
    results = values["results"]
    if failures := [f"{r['name']}: {text}" for r in results for text in r["failures"]]:
        rows = [[name, text] for name, _, text in (line.partition(": ") for line in failures)]
        yield Section("What missed its threshold", [Table("Failures", ("engine", "why"), rows)])
    timed = [result for result in results if result["latency_ms"]]
    parts: list[Part] = []
    if timed:
        entries = [
            (
                result["name"],
                result["latency_ms"]["p50"],
                result["latency_ms"]["p50"],
                result["latency_ms"]["p90"],
                result["skips_work"],
            )
            for result in timed
        ]
        caption = (
            "Median of ", count(timed[0]["latency_ms"]["rounds"]), " calls in turn with ",
            count(values["batch"]), " clips each; the line reaches to the 90th percentile.",
        )  # fmt: skip
        spread = "median, and to the 90th percentile"
        parts.append(Chart(charts.latency(entries, "call", spread), caption))
    if best := max(_saving(results), key=lambda result: result["saved"]["speedup"], default=None):
        parts += saving_parts(best["saved"], best["saved"]["against"])
    parts.append(_table(values))
    if values["not_run"]:
        rows = list(map(list, values["not_run"].items()))
        parts.append(Table("Not run", ("engine", "why"), rows, folded=True))
    yield Section("Accuracy and time", parts)
    yield from _disagreements(values, pictures)
    more = " These are the decisions of the reference."
    yield from maps(values, pictures, more)
    yield from decisions(values)
    yield from machine(values)


def _table(values: Values) -> Table:
    heads = (
        "engine", "precision", "passed", "agreement", "ties", "error", "top-1", "95 %", "top-5",
        "GMACs", "p50", "p90", "p99",
    )  # fmt: skip
    reference = values["reference"]
    first: list[Any] = ["reference", "", "", "", "", ""]
    first += [*_accuracy(reference), quantity(reference["gmacs_per_clip"]), "", "", ""]
    rows = [first]
    for result in values["results"]:
        latency = result["latency_ms"] or {}
        rows.append(
            [
                result["name"],
                result["precision"],
                "yes" if result["passed"] else "no",
                percent(result["untied_policy_agreement"]),
                count(result["ties"]),
                error(result["logits_relative_error"]),
                *_accuracy(result),
                quantity(result["gmacs_per_clip"]),
                *(milliseconds(latency.get(name)) for name in ("p50", "p90", "p99")),
            ]
        )
    return Table("All engines", heads, rows)


def _accuracy(values: Values) -> list[Any]:
    span = values["top1_interval"]
    return [
        percent(values["top1_accuracy"]),
        (percent(span[0]), " to ", percent(span[1])) if span else percent(None),
        percent(values["top5_accuracy"]),
    ]


def _disagreements(values: Values, pictures: Pictures) -> Iterator[Section]:
    entries = values["disagreements"]
    if not entries:
        about = "No engine decided or answered otherwise than the reference on any clip."
        yield Section("Disagreements", [], [about])
        return
    frames = pictures.get("disagreements", ())
    names = short_names(values["gates"])
    parts: list[Part] = [Legend((("bad", "decided otherwise"), ("skip", "decided alike")))]
    for index, entry in enumerate(entries):
        words: list[str | Number] = [f"{entry['engine']}: ", count(entry["flips"])]
        words += [" decisions differ, ", count(entry["unexcused"]), " of them no ties; logits are "]
        words += ["off by ", error(entry["logits_relative_error"]), " of their RMS; it answers "]
        words += [entry["answer"], " ", share(entry["probability"]), ", the reference "]
        words += [entry["expected"], " ", share(entry["expected_probability"])]
        words += ["." if entry["class"] is None else f"; it is {entry['class']}."]
        cells = [[[shares] for shares in row] for row in entry["differing"]]
        shown = frames[index] if index < len(frames) else ()
        parts.append(FrameMap(entry["video"], words, names, cells, ("differing",), shown, "flips"))
    about = (
        "The worst clips of every engine: a row per gate, a column per frame, and in red the share "
        "of channels whose decisions differ where each takes its own course."
    )
    yield Section("Disagreements", parts, [about])

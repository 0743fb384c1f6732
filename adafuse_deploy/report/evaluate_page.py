"""The page of ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adafuse_deploy.report import charts
from adafuse_deploy.report.numbers import count, percent, quantity, share
from adafuse_deploy.report.page import Chart, Fact, Page, Part, Section, Table
from adafuse_deploy.report.sections import Pictures, Values, decisions, machine, maps


def evaluate_page(values: Values, pictures: Pictures) -> Page:
    """Make the page of an evaluation from its JSON."""
    saved = 1 - values["relative_flops"]
    verdict: list[Any] = [percent(values["top1"]), " top-1"]
    if saved > 0 and values["gates"]:
        verdict += [" with ", share(values["relative_flops"]), " of the dense network's work"]
    words: list[Any] = [
        f"{values['model']} in {values['runtime']}, on ",
        count(values["clips"]),
        " videos; ",
    ]
    words += ["policies are ", "sampled." if values["sampled"] else "the argmax, as in deployment."]
    sections = [*maps(values, pictures), *decisions(values), _classes(values), *machine(values)]
    warnings = values.get("warnings", ())
    return Page("evaluate", verdict, words, list(_facts(values)), sections, "", warnings)


def _facts(values: Values) -> Iterator[Fact]:
    low, high = values["top1_interval"]
    yield Fact("top-1", percent(values["top1"], 2), ("95 %: ", percent(low), " to ", percent(high)))
    yield Fact("top-5", percent(values["top5"], 2))
    yield Fact("mean over classes", percent(values["mean_class_accuracy"], 2))
    note = (share(values["relative_flops"]), " of ", quantity(values["dense_gmacs"]))
    yield Fact("GMACs per clip", quantity(values["gmacs"]), note)
    if values["overall"]:
        yield Fact("channels computed", share(values["overall"]["keep"]), ("of all decisions",))


def _classes(values: Values) -> Section:
    names = [entry["name"] for entry in values["classes"]]
    caption = ("A row per true class, stronger where more of its videos got that answer.",)
    parts: list[Part] = [Chart(charts.confusion(values["confusion"], names), caption)]
    if values["confused"]:
        rows = [
            [entry["class"], entry["answer"], count(entry["clips"]), share(entry["share"])]
            for entry in values["confused"]
        ]
        heads = ("class", "taken for", "videos", "of its videos")
        parts.append(Table("Taken for another most often", heads, rows))
    rows = [
        [entry["name"], percent(entry["accuracy"]), count(entry["correct"]), count(entry["clips"])]
        for entry in values["classes"]
    ]
    heads = ("class", "accuracy", "right", "videos")
    parts.append(Table(f"All {len(rows)} classes", heads, rows, folded=True))
    return Section("Classes", parts)

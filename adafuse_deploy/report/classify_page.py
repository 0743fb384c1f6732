"""The pages of ``classify``: a video, many, and a timeline."""

from __future__ import annotations

from adafuse_deploy.report import charts
from adafuse_deploy.report.numbers import Number, count, quantity, share
from adafuse_deploy.report.page import Chart, Fact, Page, Part, Section, Table, Words
from adafuse_deploy.report.sections import Pictures, Values, decisions, machine, maps

_LISTED = 500


def classify_page(values: Values, pictures: Pictures) -> Page:
    """Make the page of what was recognised from its JSON."""
    if "segments" in values:
        verdict, subtitle, first = _timeline(values)
    elif "labels" in values:
        verdict, subtitle, first = _many(values)
    else:
        verdict, subtitle, first = _one(values)
    seen = list(maps(values, pictures))
    sections = [*seen, *first] if "top" in values else [*first, *seen]
    sections += [*decisions(values), *machine(values)]
    warnings = values.get("warnings", ())
    return Page("classify", verdict, subtitle, _facts(values), sections, "", warnings)


_Said = tuple[Words, Words, list[Section]]
"""The verdict, what was looked at, and the sections of this kind of result."""


def _facts(values: Values) -> list[Fact]:
    needed, dense = values["mean_macs"], values["dense_macs"]
    facts = []
    if needed is not None:
        note = ("of ", _giga(dense), " without gates")
        facts.append(Fact("GMACs per clip", _giga(needed), note))
        facts.append(Fact("work saved", share(values["macs_share"])))
    if overall := values["overall"]:
        facts.append(Fact("keep", share(overall["keep"]), ("of all decisions: computed",)))
        facts.append(Fact("reuse", share(overall["reuse"]), ("taken from the frame before",)))
        facts.append(Fact("skip", share(overall["skip"]), ("zero, not computed",)))
    return facts


def _giga(macs: float) -> Number:
    """Multiply-accumulates, which the JSON counts one by one."""
    return Number(macs, quantity(macs / 1e9).text)


def _one(values: Values) -> _Said:
    best = values["top"][0]
    rows = [[entry["label"], share(entry["probability"])] for entry in values["top"]]
    return (
        [best["label"], ", ", share(best["probability"])],
        [f"{values['video']} on {values['engine']}."],
        [Section("Classes", [Table("The most probable", ("class", "probability"), rows)])],
    )


def _many(values: Values) -> _Said:
    labels = values["labels"]
    rows = [[entry["label"], count(entry["videos"])] for entry in labels]
    parts: list[Part] = [
        Chart(charts.label_counts(labels), ("Videos by their best class.",)),
        Table(f"All {len(labels)} classes", ("class", "videos"), rows, folded=True),
    ]
    if errors := values.get("errors"):
        told = [[entry["video"], entry["error"]] for entry in errors]
        parts.append(Table("Videos that cannot be used", ("video", "why"), told))
    if videos := values.get("videos"):
        answers = [
            [entry["video"], entry["top"][0]["label"], share(entry["top"][0]["probability"])]
            for entry in videos[:_LISTED]
        ]
        name = "All videos" if len(videos) <= _LISTED else f"The first {_LISTED} videos"
        parts.append(Table(name, ("video", "class", "probability"), answers, folded=True))
        verdict: list[str | Number] = [f"{len(videos)} videos, {len(labels)} classes"]
    else:
        verdict = [count(values["videos_labelled"]), f" videos labelled, {len(labels)} classes"]
        if values["videos_failed"]:
            verdict += ["; ", count(values["videos_failed"]), " cannot be used"]
    where = f"; all of them are in {values['output']}" if "output" in values else ""
    return verdict, [f"On {values['engine']}{where}."], [Section("Classes", parts)]


def _timeline(values: Values) -> _Said:
    segments = values["segments"]
    heads = ("from, seconds", "to", "class", "probability", "GMACs", "windows")
    rows = [
        [
            quantity(s["start"]),
            quantity(s["end"]),
            s["label"],
            share(s["probability"]),
            quantity(s["gmacs"]),
            count(s["windows"]),
        ]
        for s in segments
    ]
    caption = ("Spans of one class each, over the seconds of the video.",)
    parts: list[Part] = [
        Chart(charts.timeline(segments), caption),
        Table("Segments", heads, rows, folded=True),
    ]
    words: list[str | Number] = [
        f"{values['video']} on {values['engine']}: windows of ",
        quantity(values["window"]),
    ]
    words += [" s, one every ", quantity(values["stride"]), " s."]
    names = {segment["label"] for segment in segments}
    many = f"{len(names)} classes" if len(names) > 1 else next(iter(names))
    verdict: list[str | Number] = [f"{many} in ", quantity(values["seconds"]), " seconds"]
    return verdict, words, [Section("What happens when", parts)]

"""The page of ``profile``: where the time of a run goes, node by node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adafuse_deploy.report import charts
from adafuse_deploy.report.numbers import count, giga, mega, milliseconds, quantity, share
from adafuse_deploy.report.page import Cell, Chart, Fact, Page, Section, Table
from adafuse_deploy.report.sections import Values, machine, saving_parts


def profile_page(values: Values) -> Page:
    """Make the page of a profile from its JSON."""
    unit = "frame" if values["mode"] == "stream" else "clip"
    verdict: list[Any] = [milliseconds(values["end_to_end_ms"]), f" a {unit}"]
    subtitle: list[Any] = [f"{values['model']} ({values['summary']}) on {values['engine']}, "]
    subtitle += [count(values["threads"]), " thread" if values["threads"] == 1 else " threads"]
    subtitle += [f"; decisions: {values['decisions']}."]
    sections = [*_saved(values, unit), _nodes(values, unit)]
    sections += [*_predicted(values), *machine(values)]
    facts = list(_facts(values, unit))
    return Page("profile", verdict, subtitle, facts, sections, "", values.get("warnings", ()))


def _facts(values: Values, unit: str) -> Iterator[Fact]:
    recorded = (share(values["difference"]), f" more than a {unit} takes when nobody records")
    yield Fact("all rows", milliseconds(values["recorded_ms"]), recorded)
    yield Fact("between the nodes", milliseconds(values["runtime_ms"]), ("the rest of a run",))
    done = (
        "of ",
        giga(values["macs_dense"]),
        " of all channels; done: ",
        giga(values["macs_done"]),
    )
    yield Fact("GMACs asked", giga(values["macs_asked"]), done)
    for precision, peak in values["peaks"].items():
        yield Fact(f"peak in {precision}", quantity(peak), ("GMACs a second, measured here",))


def _saved(values: Values, unit: str) -> Iterator[Section]:
    """Show work and time that the decisions save, per node and in all."""
    saved = values.get("saved")
    if not saved:
        return
    caption = "Grey: the same graph while it keeps everything. Blue: under these decisions."
    heads = ("node", "GMACs, all kept", "GMACs", "saved", "ms, all kept", "ms", "realised")
    rows: list[list[Cell]] = [
        [
            row["name"],
            quantity(row["dense_gmacs"]),
            quantity(row["gmacs"]),
            share(row["saved"]),
            quantity(row["dense_ms"]),
            quantity(row["ms"]),
            share(row["realised_share"], 0),
        ]
        for row in saved["rows"]
    ]
    yield Section(
        "What the decisions save",
        [
            *saving_parts(saved["total"], "itself while it keeps everything"),
            Chart(charts.layers(saved["rows"], unit), (caption,)),
            Table("Node by node", heads, rows, folded=True),
        ],
    )


def _nodes(values: Values, unit: str) -> Section:
    rows = values["rows"]
    caption = (
        "Phases of all threads, divided by their number. Nodes of layers in the order of the "
        "graph, then all others by operator.",
    )
    phases = [phase for phase in values["phases"] if any(phase in row["phases"] for row in rows)]
    work = ["node", "GMACs", "asked", "done", "of peak", "MB weights", "MB activations", "MB state"]
    return Section(
        "Where the time goes",
        [
            Chart(charts.phases(rows, unit), caption),
            Table("Milliseconds", ["node", "all", *phases], [_times(row, phases) for row in rows]),
            Table("Work and bytes", work, [_work(row) for row in rows], folded=True),
        ],
    )


def _times(row: Values, phases: list[str]) -> list[Cell]:
    spent = (row["ms"], *(row["phases"].get(phase) for phase in phases))
    return [row["name"], *(quantity(ms) for ms in spent)]


def _work(row: Values) -> list[Cell]:
    works = bool(row["layers"])
    macs = (row["macs_dense"], row["macs_asked"], row["macs_done"])
    sizes = (row["weight_bytes"], row["activation_bytes"], row["state_bytes"])
    return [
        row["name"],
        *(giga(each if works else None) for each in macs),
        share(row["peak_share"], 0),
        *(mega(size or None) for size in sizes),
    ]


def _predicted(values: Values) -> Iterator[Section]:
    if predicted := values.get("predicted_ms"):
        rows = [[mix, milliseconds(ms)] for mix, ms in predicted.items()]
        yield Section(
            "What other policies would cost", [Table("Predicted", ("policy mix", "ms"), rows)]
        )

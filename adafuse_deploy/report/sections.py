"""Sections that the pages of several verbs have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adafuse_deploy.report import charts
from adafuse_deploy.report.numbers import (
    NOTHING,
    Number,
    count,
    milliseconds,
    quantity,
    share,
    times,
)
from adafuse_deploy.report.page import Chart, FrameMap, Legend, Part, Section, Table

Values = Mapping[str, Any]
Pictures = Mapping[str, Sequence[Sequence[str]]]
"""Addresses of frames: of the maps of each kind, by its key in the JSON."""

_ACTIONS = ("keep", "reuse", "skip")
_LEGEND = Legend(
    (
        ("keep", "keep: computed"),
        ("reuse", "reuse: the previous frame's"),
        ("skip", "skip: zero, not computed"),
    )
)


def saving_parts(values: Values, against: str) -> list[Part]:
    """Show what :func:`adafuse_deploy.core.savings.savings` found.

    Args:
        values: that.
        against: name of the dense engine.
    """
    caption: list[str | Number] = ["Beside ", against, ": "]
    caption += [share(values["macs_share"]), " of the multiply-accumulates"]
    if values["time_share"] >= 0:
        caption += [" and ", share(values["time_share"]), " of the time are saved ("]
        caption += [milliseconds(values["ms"]), "), ", times(values["speedup"]), " as fast. "]
        caption += [share(values["realised_share"]), " of the saving is realised: "]
        caption += ["time saved over work saved."]
    else:
        caption += [" are saved, but no time: it is ", times(values["speedup"]), " as fast."]
    return [Chart(charts.saved(values), caption)]


def _layer_parts(layers: Sequence[Values], unit: str) -> tuple[Part, Part]:
    """Show work, and time where it is known, per layer."""
    timed = all(layer.get("ms") is not None for layer in layers)
    caption = "Grey: in full. Blue: what the policies left of it. From the first layer to the last."
    chart = Chart(charts.layers(layers, unit), (caption,))
    heads = ["layer", "GMACs in full", "GMACs", "saved"]
    if timed:
        heads += ["ms", "dense ms"]
    rows = []
    for layer in layers:
        row = [
            layer["name"],
            quantity(layer["dense_gmacs"]),
            quantity(layer["gmacs"]),
            share(layer["saved"]),
        ]
        if timed:
            row += [milliseconds(layer["ms"]), milliseconds(layer.get("dense_ms"))]
        rows.append(row)
    return chart, Table(f"All {len(layers)} layers", heads, rows, folded=True)


def _gate_parts(gates: Sequence[Values]) -> tuple[Part, Part]:
    """Show what every gate decides and how many of its channels are static."""
    caption = "Static: channels with the same action in every frame of every clip seen here."
    chart = Chart(charts.gates(gates, short_names(gates)), (caption,))
    static = [f"static_{action}" for action in _ACTIONS]
    heads = ["gate", *_ACTIONS, "channels", "static", *(name.replace("_", " ") for name in static)]
    rows = [
        [
            gate["name"],
            *(share(gate[action]) for action in _ACTIONS),
            *(count(gate[name]) for name in ("channels", "static", *static)),
        ]
        for gate in gates
    ]
    return chart, Table(f"All {len(gates)} gates", heads, rows, folded=True)


def short_names(gates: Sequence[Values]) -> list[str]:
    """Return the gates' names without their last word, where all have the same one."""
    names = [gate["name"] for gate in gates]
    if len({name.rpartition(".")[2] for name in names}) == 1:
        return [name.rpartition(".")[0] or name for name in names]
    return names


def decisions(values: Values, unit: str = "clip") -> Iterator[Section]:
    """Show gates and layers, if there are gates.

    Args:
        values: with "overall", "gates" and "layers".
        unit: what the work of layers is for.
    """
    overall = values["overall"]
    if not overall:
        return
    words: list[str | Number] = ["Of all decisions "]
    for action in _ACTIONS:
        joint = {"keep": "", "reuse": ", ", "skip": " and "}[action]
        words += [joint, share(overall[action]), f" are {action}"]
    words += [". ", count(overall["static"]), " of ", count(overall["channels"])]
    words += [" channels are static."]
    (gates, all_gates), (layers, all_layers) = (
        _gate_parts(values["gates"]),
        _layer_parts(values["layers"], unit),
    )
    yield Section(
        "What the gates decide, and what that saves", [gates, layers, all_gates, all_layers], words
    )


def maps(values: Values, pictures: Pictures, more: str = "") -> Iterator[Section]:
    """Show where in the first videos the network computed."""
    entries = values.get("policy_maps") or []
    if not entries or not values.get("gates"):
        return
    names = short_names(values["gates"])
    frames = pictures.get("policy_maps", ())
    parts: list[Part] = [_LEGEND]
    for index, entry in enumerate(entries):
        words: list[Any] = [entry["answer"], " ", share(entry["probability"])]
        if entry.get("class") is not None:
            right = entry["class"] == entry["answer"]
            words += [", right" if right else f", but it is {entry['class']}"]
        words += [", ", quantity(entry["gmacs"], "GMACs")]
        cells = [
            [[keep, reuse] for keep, reuse in zip(*rows, strict=True)]
            for rows in zip(entry["keep"], entry["reuse"], strict=True)
        ]
        shown = frames[index] if index < len(frames) else ()
        parts.append(FrameMap(entry["video"], words, names, cells, ("keep", "reuse"), shown))
    about = (
        "A row per gate, from the first to the last, above the frames that the network saw. Each "
        "cell is one frame's channels: blue ones were computed."
    )
    yield Section("Where the network looked", parts, [about, more])


def machine(values: Values) -> Iterator[Section]:
    """Show what it ran on and with, and the files' hashes."""
    machine = values.get("machine") or {}
    rows: list[list[Any]] = [["processor", machine["processor"]]] if machine else []
    if machine:
        rows += [
            ["cores", count(machine["cores"])],
            ["instruction sets", ", ".join(machine["instruction_sets"]) or NOTHING],
            ["system", machine["system"]],
        ]
    rows += [[name, version] for name, version in (values.get("versions") or {}).items()]
    if values.get("created"):
        rows.append(["made", values["created"]])
    parts: list[Part] = [Table("Machine and versions", ("", ""), rows)]
    if files := values.get("files"):
        parts.append(Table("Files", ("file", "SHA-256"), [[str(f), h] for f, h in files.items()]))
    yield Section("On what, and with what", parts)

"""The drawings of pages, each from values of the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adafuse_deploy.report.numbers import milliseconds, quantity, share
from adafuse_deploy.report.svg import COLOURS, Drawing, drawing, figure, label

_ACTIONS = ("keep", "reuse", "skip")
_ROW = 34
_TEXT: dict[str, Any] = {"va": "baseline", "fontsize": 10.5}


def latency(
    entries: Sequence[tuple[str, float, float, float, bool]], unit: str, spread: str
) -> Drawing:
    """Bars of time, shorter is better.

    Args:
        entries: name, lower end, middle and upper end in milliseconds, whether it is ours.
        unit: what takes so long.
        spread: what the ends are.
    """
    height = _ROW * len(entries) + 30
    # A disturbed call must not press all bars together: what reaches farther is cut, and says so.
    most = min(max(e[3] for e in entries), 2.5 * max(e[2] for e in entries))
    with figure(height) as fig:
        axes = fig.add_axes((0.01, 24 / height, 0.98, 1 - 26 / height))
        for row, (name, low, middle, high, ours) in enumerate(entries):
            colour = COLOURS["ours" if ours else "peer"]
            axes.barh(row, middle, 0.34, color=colour)
            ends: dict[str, Any] = {"color": COLOURS["ink"], "lw": 1.4, "solid_capstyle": "butt"}
            axes.plot([low, min(high, most)], [row, row], **ends)
            for end in {low, high} - {middle}:
                if end <= most:
                    axes.plot([end, end], [row - 0.1, row + 0.1], **ends)
            if high > most:
                text = f"to {milliseconds(high)} \N{RIGHTWARDS ARROW}"
                axes.text(most, row + 0.06, text, ha="right", va="top", fontsize=9)
            axes.text(0, row - 0.28, label(name, 40), weight="bold" if ours else "normal", **_TEXT)
            axes.text(most, row - 0.28, milliseconds(middle).text, ha="right", **_TEXT)
        axes.set(xlim=(0, most), ylim=(len(entries) - 0.65, -0.7), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=3)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x")
        said = "; ".join(
            f"{name} {milliseconds(middle)} ({milliseconds(low)} to {milliseconds(high)})"
            for name, low, middle, high, _ in entries
        )
        return drawing(fig, f"Milliseconds per {unit}", f"{spread}: {said}.")


def saved(values: Mapping[str, Any]) -> Drawing:
    """Work and time beside each other, each as a share of the dense network's."""
    rows = (("MACs", values["macs_share"]), ("time", values["time_share"]))
    with figure(112) as fig:
        axes = fig.add_axes((0.01, 0.02, 0.98, 0.96))
        for row, (name, spared) in enumerate(rows):
            left = 1 - spared
            axes.barh(row, min(left, 1), 0.46, color=COLOURS["ours"])
            colour = COLOURS["saved"] if spared >= 0 else COLOURS["bad"]
            axes.barh(row, abs(spared), 0.46, left=min(left, 1), color=colour, alpha=0.6)
            axes.text(0, row - 0.33, f"{name} needed {share(left)}", **_TEXT)
            word = "saved" if spared >= 0 else "more than dense"
            end = max(1, left)
            text = f"{word} {share(abs(spared))}"
            axes.text(end, row - 0.33, text, ha="right", weight="bold", **_TEXT)
        axes.axvline(1, color=COLOURS["ink"], lw=1)
        axes.set(xlim=(0, max(1.005, 1 - values["time_share"])), ylim=(1.35, -0.7))
        axes.axis("off")
        text = "; ".join(f"{name}: {share(spared)} saved" for name, spared in rows)
        return drawing(fig, "Work saved and time saved", f"Of the dense network's {text}.")


def layers(entries: Sequence[Mapping[str, Any]], unit: str) -> Drawing:
    """Work per layer: in full, and what was left of it; times too, where all are known.

    Args:
        entries: the layers, from the first to the last.
        unit: what the work is for.
    """
    timed = all(entry.get("ms") is not None for entry in entries)
    dense = [entry["dense_gmacs"] for entry in entries]
    needed = [entry["gmacs"] for entry in entries]
    place = np.arange(len(entries))
    with figure(300 if timed else 190) as fig:
        axes = fig.subplots(2 if timed else 1, 1, sharex=True, squeeze=False)[:, 0]
        axes[0].bar(place, dense, 0.86, color=COLOURS["skip"])
        axes[0].bar(place, needed, 0.86, color=COLOURS["ours"])
        axes[0].set_ylabel(f"GMACs per {unit}")
        if timed:
            full = [entry.get("dense_ms") or 0 for entry in entries]
            axes[1].bar(place, full, 0.86, color=COLOURS["skip"])
            axes[1].bar(place, [entry["ms"] for entry in entries], 0.86, color=COLOURS["ours"])
            axes[1].set_ylabel(f"ms per {unit}")
        for axis in axes:
            axis.grid(axis="y")
            axis.tick_params(length=0)
            axis.margins(x=0.01)
        marks = _stages([entry["name"] for entry in entries])
        axes[-1].set_xticks([start for start, _ in marks], [name for _, name in marks])
        for text in axes[-1].get_xticklabels():
            text.set_horizontalalignment("left")
        for start, _ in marks:
            for axis in axes:
                axis.axvline(start - 0.5, color=COLOURS["grid"], lw=0.8)
        fig.subplots_adjust(0.14, 0.13 if not timed else 0.09, 0.99, 0.97, hspace=0.12)
        total = f"{quantity(sum(needed))} of {quantity(sum(dense))} GMACs per {unit}"
        return drawing(
            fig,
            "Work per layer, from the first to the last",
            f"{total}, in {len(entries)} layers; the table has each.",
        )


def gates(entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Drawing:
    """What every gate decides, and how many of its channels never change.

    Args:
        entries: the gates, from the first to the last.
        names: of them.
    """
    height = 17 * len(entries) + 40
    names = [label(name, 20) for name in names]
    rows = np.arange(len(entries))
    with figure(height) as fig:
        gutter = min(0.36, 0.03 + 0.0185 * max(map(len, names)))
        top, bottom = 1 - 18 / height, 20 / height
        width = 0.985 - gutter - 0.19
        axes = fig.add_axes((gutter, bottom, width, top - bottom))
        still = fig.add_axes((gutter + width + 0.03, bottom, 0.15, top - bottom))
        left = np.zeros(len(entries))
        for action in _ACTIONS:
            values = np.array([entry[action] for entry in entries])
            axes.barh(rows, values, 0.74, left=left, color=COLOURS[action])
            left += values
        axes.set(xlim=(0, 1), ylim=(len(entries) - 0.5, -0.5))
        axes.set_yticks(rows, names)
        axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[2].set_horizontalalignment("right")
        axes.set_title("keep | reuse | skip", fontsize=10.5, loc="left")
        ratio = [entry["static"] / entry["channels"] for entry in entries]
        still.barh(rows, [1] * len(rows), 0.74, color=COLOURS["skip"])
        still.barh(rows, ratio, 0.74, color=COLOURS["muted"])
        still.set(xlim=(0, 1), ylim=axes.get_ylim(), yticks=[])
        still.set_xticks([1], ["100 %"])
        still.get_xticklabels()[0].set_horizontalalignment("right")
        still.set_title("static", fontsize=10.5, loc="left")
        for axis in (axes, still):
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        said = "; ".join(
            f"{entry['name']} {', '.join(f'{a} {share(entry[a])}' for a in _ACTIONS)}"
            for entry in entries
        )
        return drawing(fig, "What the gates decide", f"From the first to the last: {said}.")


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Drawing:
    """Which classes are taken for which; rows are the true ones."""
    from matplotlib.colors import to_rgb

    counts = np.array(matrix, float)
    size = len(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    few = size <= 16
    gutter = min(0.33, 0.03 + 0.0165 * max(len(label(n, 18)) for n in names)) if few else 0.1
    side = 360 * (0.99 - gutter)
    height = side + (30 if few else 24)
    with figure(height) as fig:
        axes = fig.add_axes((gutter, 1 - side / height, 0.99 - gutter, side / height))
        pixels = np.zeros((size, size, 4))
        pixels[..., :3] = to_rgb("#3b82c4")
        pixels[..., 3] = np.where(shares > 0, 0.12 + 0.88 * shares, 0)
        axes.imshow(pixels, interpolation="nearest", aspect="auto")
        if few:
            for row, column in zip(*np.nonzero(counts), strict=True):
                axes.text(
                    column, row, f"{counts[row, column]:.0f}", ha="center", va="center",
                    fontsize=9 if size > 10 else 10.5,
                )  # fmt: skip
            axes.set_yticks(range(size), [label(name, 18) for name in names], fontsize=9)
            axes.set_xticks(range(size), [str(number + 1) for number in range(size)], fontsize=9)
            if size == len(names):
                for tick, text in enumerate(axes.get_yticklabels()):
                    text.set_text(f"{text.get_text()} {tick + 1}")
                axes.set_yticks(
                    range(size), [text.get_text() for text in axes.get_yticklabels()], fontsize=9
                )
            axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
            axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
            axes.grid(which="minor")
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("taken for", labelpad=1)
        right = f"{np.trace(counts):.0f} of {counts.sum():.0f} are right"
        return drawing(fig, "Confusion matrix", f"{size} classes; {right}.")


def parts(values: Mapping[str, Mapping[str, float]]) -> Drawing:
    """Where the time from a video to its label goes."""
    names = [name for name in values if name != "total"]
    colours = ("peer", "reuse", "ours")
    with figure(34 * len(names) + 8) as fig:
        axes = fig.add_axes((0.01, 0.02, 0.98, 0.96))
        left = 0.0
        for row, (name, colour) in enumerate(zip(names, colours, strict=False)):
            part = values[name]
            axes.barh(row, part["share"], 0.4, left=left, color=COLOURS[colour])
            axes.text(0, row - 0.3, name, **_TEXT)
            text = f"{milliseconds(part['p50_ms'])}, {share(part['share'])}"
            axes.text(1, row - 0.3, text, ha="right", **_TEXT)
            left += part["share"]
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.6, -0.75))
        axes.axis("off")
        said = "; ".join(f"{name} {share(values[name]['share'])}" for name in names)
        return drawing(fig, "Shares of the time from the video to its label", f"{said}.")


def phases(rows: Sequence[Mapping[str, Any]], unit: str) -> Drawing:
    """Time per row of a profile, and what it went into.

    Args:
        rows: from the first to the last.
        unit: what takes so long.
    """
    height = 17 * len(rows) + 62
    names = [label(row["name"], 22) for row in rows]
    groups: dict[str, list[float]] = {name: [0.0] * len(rows) for name in _PHASES}
    for place, row in enumerate(rows):
        if not row["phases"]:
            groups["other nodes"][place] = row["ms"]
        for phase, ms in row["phases"].items():
            group = next((name for name, (_, of) in _PHASES.items() if phase in of), "convolutions")
            groups[group][place] += ms
    with figure(height) as fig:
        gutter = min(0.4, 0.03 + 0.0185 * max(map(len, names)))
        axes = fig.add_axes((gutter, 20 / height, 0.98 - gutter, 1 - 62 / height))
        left = np.zeros(len(rows))
        for name, times in groups.items():
            if any(times):
                colour = COLOURS[_PHASES[name][0]]
                axes.barh(range(len(rows)), times, 0.74, left=left, color=colour, label=name)
            left += times
        axes.set(ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticks(range(len(rows)), names)
        axes.tick_params(length=0)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=5)
        fig.legend(loc="upper left", ncols=3, frameon=False, fontsize=10, borderaxespad=0)
        said = "; ".join(f"{row['name']} {milliseconds(row['ms'])}" for row in rows)
        return drawing(fig, f"Milliseconds per {unit} of each node", f"{said}.")


_PHASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "convolutions": ("ours", ()),
    "packing": ("reuse", ("pack",)),
    "policy networks": ("saved", ("policy",)),
    "other": ("muted", ("other",)),
    "waiting": ("skip", ("wait",)),
    "other nodes": ("peer", ()),
}
"""What a profile's phases are called together, and in which colour."""


def timeline(segments: Sequence[Mapping[str, Any]]) -> Drawing:
    """Spans of one class each over the time of a video."""
    names = list(dict.fromkeys(segment["label"] for segment in segments))
    height = 30 * len(names) + 30
    with figure(height) as fig:
        axes = fig.add_axes((0.01, 24 / height, 0.98, 1 - 26 / height))
        for row, name in enumerate(names):
            axes.text(segments[0]["start"], row - 0.28, label(name, 48), **_TEXT)
            spans = [
                (segment["start"], segment["end"] - segment["start"])
                for segment in segments
                if segment["label"] == name
            ]
            axes.broken_barh(spans, (row - 0.18, 0.4), color=COLOURS["ours"])
        axes.set(xlim=(segments[0]["start"], segments[-1]["end"]))
        axes.set(ylim=(len(names) - 0.65, -0.7), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=3)
        axes.grid(axis="x")
        said = "; ".join(
            f"{quantity(s['start'])} to {quantity(s['end'])} s {s['label']}" for s in segments[:40]
        )
        return drawing(fig, "What happens when, over seconds", f"{said}.")


def label_counts(entries: Sequence[Mapping[str, Any]]) -> Drawing:
    """How many videos have each class as their best, of the most frequent twenty."""
    entries = entries[:20]
    height = 30 * len(entries) + 8
    most = max((entry["videos"] for entry in entries), default=1)
    with figure(height) as fig:
        axes = fig.add_axes((0.01, 0.02, 0.98, 0.96))
        for row, entry in enumerate(entries):
            axes.barh(row, entry["videos"], 0.34, color=COLOURS["ours"])
            axes.text(0, row - 0.26, label(entry["label"], 48), **_TEXT)
            axes.text(most, row - 0.26, str(entry["videos"]), ha="right", **_TEXT)
        axes.set(xlim=(0, most), ylim=(len(entries) - 0.65, -0.75))
        axes.axis("off")
        said = "; ".join(f"{entry['label']} {entry['videos']}" for entry in entries)
        return drawing(fig, "Videos by their best class", f"{said}.")


def memory(samples: Sequence[Mapping[str, float]]) -> Drawing:
    """Resident memory over the frames of a stream."""
    with figure(150) as fig:
        axes = fig.subplots()
        axes.plot(
            [sample["frames"] for sample in samples],
            [sample["rss_mb"] for sample in samples],
            color=COLOURS["ours"],
            marker="o",
            ms=3.5,
        )
        axes.set(xlabel="frames", ylabel="MB", ylim=(0, None), xlim=(0, None))
        axes.grid()
        axes.tick_params(length=3)
        fig.subplots_adjust(0.14, 0.25, 0.98, 0.95)
        first, last = samples[0], samples[-1]
        said = f"{quantity(first['rss_mb'])} MB, after {last['frames']:.0f} frames "
        return drawing(fig, "Resident memory over frames", f"{said}{quantity(last['rss_mb'])} MB.")


def _stages(names: Sequence[str]) -> list[tuple[int, str]]:
    """Return where the names' first words change, and these words."""
    stems = [name.partition(".")[0] for name in names]
    marks = [
        (index, stem) for index, stem in enumerate(stems) if not index or stem != stems[index - 1]
    ]
    wide: list[tuple[int, str]] = []
    for start, stem in marks:
        if start > 0.88 * len(names):
            break
        if not wide or start - wide[-1][0] >= 0.13 * len(names):
            wide.append((start, stem))
    return wide

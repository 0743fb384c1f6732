"""The paper's figures of policies, drawn for any network and data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adafuse_deploy.core.actions import ACTION_NAMES
from adafuse_deploy.core.packages import need
from adafuse_deploy.evaluation.policy_study import PolicyStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_COLOURS = {"keep": "#0b5394", "reuse": "#e69f00", "skip": "#c9ced6"}
_MOST_CLASSES = 30
"""Of more classes, those with the largest and the smallest savings are drawn."""


def draw_studies(studies: Mapping[str, PolicyStudy], folder: Path, kind: str = "png") -> list[Path]:
    """Draw studies of networks, and return the files.

    ``NAME.blocks``: the shares of each gate, and how much of each is always the same;
    ``NAME.classes``: what is saved for each class; of several networks ``accuracy``: their accuracy
    over their cost.

    Args:
        studies: name -> what was found.
        folder: to draw in.
        kind: "png" or "svg".

    Raises:
        MissingDependencyError: Matplotlib is not installed.
    """
    need("matplotlib")
    figures: dict[str, Figure] = {}
    for name, study in studies.items():
        figures[f"{name}.blocks"] = _blocks(name, study)
        figures[f"{name}.classes"] = _classes(name, study)
    if len(studies) > 1:
        figures["accuracy"] = _accuracy(studies)
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.{kind}"
        figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        paths.append(path)
    return paths


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """Return a figure that needs no display, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(1, columns, sharey=columns > 1)


def _plain(axes: Axes) -> None:
    """Take away the lines that say nothing."""
    axes.spines[["top", "right"]].set_visible(False)


def _blocks(name: str, study: PolicyStudy) -> Figure:
    rows = [study.overall, *study.gates]
    labels = [f"{gate.name} ({gate.channels})" for gate in rows]
    figure, (mix, steady) = _figure(10, 1.6 + 0.3 * len(rows), 2)
    places = range(len(rows))
    before = [0.0] * len(rows)
    for action in ACTION_NAMES:
        shares = [100 * gate.shares[action] for gate in rows]
        mix.barh(places, shares, left=before, color=_COLOURS[action], label=action)
        before = [done + share for done, share in zip(before, shares, strict=True)]
    before = [0.0] * len(rows)
    parts = [
        *((f"always {action}", _COLOURS[action], action) for action in ACTION_NAMES),
        ("depends on what is seen", "#56a36c", ""),
    ]
    for label, colour, action in parts:
        shares = [100 * (gate.always[action] if action else gate.varying) for gate in rows]
        if any(shares):
            steady.barh(places, shares, left=before, color=colour, label=label)
        before = [done + share for done, share in zip(before, shares, strict=True)]
    mix.set(yticks=list(places), yticklabels=labels, xlim=(0, 100), title="Decisions")
    steady.set(xlim=(0, 100), title="Channels")
    mix.set_xlabel("% of all decisions")
    steady.set_xlabel("% of the channels")
    mix.invert_yaxis()  # the first gate on top
    for axes in (mix, steady):
        axes.axhline(0.5, color="black", linewidth=0.8)
        axes.tick_params(axis="y", length=0)
        _plain(axes)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.45 / figure.get_figheight() - 0.06),
                    ncols=2 if axes is steady else 3, frameon=False)  # fmt: skip
    found = study.evaluation
    figure.suptitle(
        f"{name}: {found.clips} clips, top-1 {found.top1:.1f} %, {found.gmacs:.4g} of "
        f"{found.dense_gmacs:.4g} GMACs",
        fontweight="bold",
    )
    return figure


def _classes(name: str, study: PolicyStudy) -> Figure:
    ranked = sorted(study.classes, key=lambda found: -found.saved)
    title = "Multiply-accumulates saved"
    if len(ranked) > _MOST_CLASSES:
        half = _MOST_CLASSES // 2
        title += f", {half} classes with the most and {half} with the least of {len(ranked)}"
        ranked = [*ranked[:half], *ranked[-half:]]
    figure, axes = _figure(8, 1.4 + 0.28 * len(ranked))
    saved = [100 * found.saved for found in ranked]
    bars = axes.barh(range(len(ranked)), saved, color=_COLOURS["keep"])
    notes = [
        f"{value:.1f} %   top-1 {100 * found.correct / found.clips:.0f} %"
        for value, found in zip(saved, ranked, strict=True)
    ]
    axes.bar_label(bars, notes, padding=4, fontsize=8)
    mean = 100 * (1 - study.evaluation.relative_flops)
    axes.axvline(mean, color=_COLOURS["reuse"], linewidth=1.2, label=f"all clips: {mean:.1f} %")
    axes.set(
        yticks=range(len(ranked)),
        yticklabels=[found.name for found in ranked],
        xlabel="% of the network without gates",
        title=title,
    )
    low = min(0.0, *saved)
    axes.set_xlim(low, max(*saved, mean) + 0.3 * (max(saved) - low))
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", frameon=False)
    _plain(axes)
    figure.suptitle(name, fontweight="bold")
    return figure


def _accuracy(studies: Mapping[str, PolicyStudy]) -> Figure:
    figure, axes = _figure(7, 4.2 + 0.25 * len(studies))
    for marker, (name, study) in zip(itertools.cycle("osD^vP"), studies.items(), strict=False):
        found = study.evaluation
        label = f"{name}: {found.top1:.1f} % at {found.gmacs:.4g}"
        axes.plot(found.gmacs, found.top1, marker, markersize=8, alpha=0.8, label=label)
    axes.set(xlabel="GMACs per clip", ylabel="top-1 accuracy, %", title="Accuracy over cost")
    axes.set_xlim(left=0)
    axes.margins(y=0.2)
    axes.grid(alpha=0.25)
    _plain(axes)
    figure.legend(loc="outside lower center", frameon=False)
    return figure

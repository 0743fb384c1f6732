"""``adafuse-deploy policies``: what gates decide over videos, as a table and as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adafuse_deploy.commands.lists import list_options
from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import (
    FILE,
    THREADS,
    ModelFile,
    NewFolder,
    batch_size_option,
    json_option,
    verb,
    workers_option,
)
from adafuse_deploy.commands.output import made, report, talkative
from adafuse_deploy.engines.suffixes import CHECKPOINTS, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.evaluation.policy_study import GateStudy, PolicyStudy


@verb(
    epilog="Example: adafuse-deploy policies a.onnx b.onnx --data val.txt --figures figures/ "
    "--json policies.json"
)
@click.argument("models", nargs=-1, required=True, type=ModelFile(*GRAPHS, *CHECKPOINTS))
@click.option("--data", type=FILE, required=True, help="List file: 'path num_frames label' lines.")
@list_options
@click.option(
    "--clips", type=click.IntRange(1), help="Take so many videos, evenly spaced in the list. [all]"
)
@click.option(
    "--figures", type=NewFolder(), metavar="DIR", help="Draw figures in a new folder (Matplotlib)."
)
@click.option(
    "--format", "kind", type=click.Choice(["png", "svg"]), default="png", show_default=True
)
@click.option("--threads", type=THREADS, help="Threads of the runtime. [its own choice]")
@batch_size_option
@workers_option
@json_option
def command(
    models: tuple[Path, ...],
    data: Path,
    clips: int | None,
    figures: Path | None,
    kind: str,
    threads: int | None,
    batch_size: int,
    workers: int,
    json_file: str | None,
    reading: ListReading,
) -> None:
    """Count what the gates of MODELS decide over labelled videos.

    MODELS are graphs, engines or checkpoints of adafuse-deploy.  Of every gate: the shares of keep,
    reuse and skip, which channels always do the same, and how many skips depend on the video.  Of
    every class: what is saved.  Of several networks: accuracy over GMACs.
    """
    from adafuse_deploy.core.files import atomic_folder
    from adafuse_deploy.core.packages import need
    from adafuse_deploy.data.lists import read_list
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.evaluation.policy_figures import draw_studies
    from adafuse_deploy.evaluation.policy_study import study_policies
    from adafuse_deploy.evaluation.videos import Subject

    if figures is not None:
        need("matplotlib")
    studies: dict[str, PolicyStudy] = {}
    for name, model in zip(_names(models), models, strict=True):
        with load_engine(model, threads=threads) as engine:
            metadata = engine.metadata
            config = metadata.config
            videos = read_list(
                data,
                reading,
                num_classes=config.num_classes,
                class_names=config.class_names,
                count=clips,
            )
            studies[name] = study_policies(
                Subject(engine.run, config, metadata.layers, metadata.gates),
                videos,
                batch_size=min(batch_size, engine.max_batch or batch_size),
                workers=workers,
                progress=talkative(),
            )
    drawn: list[Path] = []
    if figures is not None:
        with atomic_folder(figures) as folder:
            drawn = [figures / path.name for path in draw_studies(studies, folder, kind)]
    values = [
        {"name": name, "model": str(model), **study.to_dict()}
        for (name, study), model in zip(studies.items(), models, strict=True)
    ]
    lines = [line for name, study in studies.items() for line in _lines(name, study)]
    report({"models": values, "figures": [str(path) for path in drawn]}, lines, json_file)
    for path in drawn:
        made(f"Wrote {path}.")
    advise("inspect", models[0])


def _names(models: Sequence[Path]) -> list[str]:
    """Return what to call each model: its file's name, numbered where two have the same."""
    stems = [model.stem for model in models]
    twice = Counter(stems)
    return [
        f"{stem}.{index}" if twice[stem] > 1 else stem for index, stem in enumerate(stems, start=1)
    ]


def _lines(name: str, study: PolicyStudy) -> Iterator[str]:
    found = study.evaluation
    yield (
        f"{name}: {found.clips} videos, top-1 {found.top1:.2f} %, GMACs {found.gmacs:.4g} per "
        f"clip, {100 * found.relative_flops:.1f} % of the {found.dense_gmacs:.4g} without gates"
    )
    yield f"  {'':<25} {'keep':>6} {'reuse':>6} {'skip':>6}   always the same   skips that vary"
    for gate in (study.overall, *study.gates):
        yield f"  {_gate_line(gate)}"
    ranked = sorted(study.classes, key=lambda entry: entry.saved)
    least, most = ranked[0], ranked[-1]
    yield (
        f"  Saved most for {most.name} ({100 * most.saved:.1f} %), least for {least.name} "
        f"({100 * least.saved:.1f} %)."
    )


def _gate_line(gate: GateStudy) -> str:
    shares = " ".join(f"{gate.shares[action]:6.3f}" for action in ("keep", "reuse", "skip"))
    vary = gate.instance_dependent_skips
    varying = "-" if vary is None else f"{100 * vary:.1f} %"
    return f"{gate.name:<25} {shares} {100 * (1 - gate.varying):15.1f} % {varying:>17}"

"""``adafuse-deploy inspect``: what a checkpoint, graph or engine is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adafuse_deploy.commands.checkpoints import DESCRIPTION, checkpoint_options
from adafuse_deploy.commands.description import read_model
from adafuse_deploy.commands.inspection import inspection, inspection_lines
from adafuse_deploy.commands.next_step import (
    advise,
    advise_running,
    gpu_present,
    graph_name,
    same_options,
)
from adafuse_deploy.commands.options import ModelFile, json_option, verb
from adafuse_deploy.commands.output import note, report
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS


@verb(epilog="Example: adafuse-deploy inspect model.onnx")
@click.argument("file", type=ModelFile(*GRAPHS, *CHECKPOINTS))
@json_option
@checkpoint_options
def command(file: Path, json_file: str | None, **options: Any) -> None:
    """Describe FILE: a checkpoint, ours or an official one, a graph, or an engine.

    The table has the same rows for all of them, with a dash for what a file does not say; so has
    --json.  No runtime is needed; of an engine the sidecar is read, after it was checked against
    the engine.
    """
    found = read_model(file, options)
    kind, metadata, _ = found
    checkpoint = file.suffix not in (*GRAPHS, *ENGINES)
    values = inspection(file, found)
    report(values, [str(file), *inspection_lines(values, metadata)], json_file)
    if file.suffix in ENGINES and not gpu_present():
        advise("doctor")
        return
    if not checkpoint:
        advise_running(str(file), metadata.mode)
        return
    words = same_options(DESCRIPTION)
    unsaid = kind != "checkpoint" and options["temporal_shift"] is None
    if unsaid and metadata.config.temporal_shift == "none":
        # 'export' assumes nothing here, and either answer makes a graph.
        note("To export it, say --temporal-shift or --no-temporal-shift, as it was trained.")
        return
    advise("export", file, *words, "-o", graph_name(file))

"""``adafuse-deploy package``: a model as a server wants it."""

from __future__ import annotations

from pathlib import Path

import click

from adafuse_deploy.commands.options import FOLDER, THREADS, ModelFile, verb
from adafuse_deploy.commands.output import made, note
from adafuse_deploy.engines.suffixes import GRAPHS


@verb(epilog="Example: adafuse-deploy package model.cpu.onnx --triton models/")
@click.argument("model", type=ModelFile(*GRAPHS))
@click.option(
    "--triton",
    "repository",
    type=FOLDER,
    metavar="REPO",
    required=True,
    help="Model repository for Triton Inference Server; the model becomes a new folder in it.",
)
@click.option("--name", help="Of the model. [that of MODEL, with _ for .]")
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    help="Clips, or frames of different streams, to run together. [8; that of an engine]",
)
@click.option(
    "--max-streams",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Streams at a time; others wait.",
)
@click.option("--threads", type=THREADS, help="Of a graph's runs. [one for each processor]")
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run a graph on the operator library (default) or on its function bodies.",
)
@click.option(
    "--mounted-at",
    default="/models",
    show_default=True,
    metavar="FOLDER",
    help="Where the server sees REPO.",
)
def command(
    model: Path,
    repository: Path,
    name: str | None,
    max_batch: int | None,
    max_streams: int,
    threads: int | None,
    operator_library: bool,
    mounted_at: str,
) -> None:
    """Package MODEL, a graph or an engine of TensorRT, for Triton Inference Server.

    The folder has the model, the library it needs, config.pbtxt, labels, an example of a client and
    a page that says how to serve it.  Graphs for streams keep their state on the server.
    """
    from adafuse_deploy.exporters.triton_server.repository import write_repository

    folder = write_repository(
        model,
        repository,
        name=name,
        max_batch=max_batch,
        max_streams=max_streams,
        threads=threads,
        operator_library=operator_library,
        mounted_at=mounted_at,
    )
    made(f"Wrote {folder}: its README.md says how to serve it.")
    note("No server has run it here: try it with client.py before you rely on it.")

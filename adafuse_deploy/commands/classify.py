"""``adafuse-deploy classify``: the action in one video."""

from __future__ import annotations

from pathlib import Path

import click

from adafuse_deploy.commands.lists import strict_option, template_option
from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import ANY_PATH, json_option, verb
from adafuse_deploy.commands.output import note, report


@verb(epilog="Example: adafuse-deploy classify video.mp4 --model model.onnx --top 5")
@click.argument("video", type=ANY_PATH)
@click.option("--model", type=ANY_PATH, required=True, help="A graph, an engine or a checkpoint.")
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to show."
)
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run an ONNX graph on our kernels (default) or on its function bodies.",
)
@template_option
@strict_option
@click.option("--threads", type=click.IntRange(1), help="Threads of the runtime.")
@json_option
def command(
    video: str,
    model: str,
    top: int,
    operator_library: bool,
    template: str | None,
    strict_frames: bool,
    threads: int | None,
    json_file: str | None,
) -> None:
    """Recognise the action in VIDEO: a video file or a folder of numbered frames."""
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.macs import dense_macs

    with load_engine(model, operator_library=operator_library, threads=threads) as engine:
        metadata, name = engine.metadata, engine.name
        answer = engine.classify(video, top=top, template=template, strict=strict_frames)
    ranked = [
        {"label": label.name, "class": label.index, "probability": label.probability}
        for label in answer
    ]
    prediction, config = answer.prediction, metadata.config
    needed, dense = int(prediction.macs[0]), dense_macs(metadata.layers, config.num_segments)
    values = {"engine": name, "top": ranked, "macs": needed, "dense_macs": dense}
    report(
        values, [f"{entry['probability']:7.1%}  {entry['label']}" for entry in ranked], json_file
    )
    note(f"{needed / 1e9:.3f} of {dense / 1e9:.3f} GMACs on {name}.")
    advise("inspect", Path(model))

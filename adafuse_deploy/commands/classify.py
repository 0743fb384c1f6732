"""``adafuse-deploy classify``: the action in one video."""

from __future__ import annotations

import click

from adafuse_deploy.json_text import json_text


@click.command(epilog="Example: adafuse-deploy classify video.mp4 --model model.onnx --top 5")
@click.argument("video")
@click.option("--model", required=True, help="A graph, an engine or a checkpoint.")
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to show."
)
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run an ONNX graph on our kernels (default) or on its function bodies.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads of the runtime.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(
    video: str,
    model: str,
    top: int,
    operator_library: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Recognise the action in VIDEO: a video file or a folder of numbered frames."""
    from adafuse_deploy.data.clips import open_clip
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.macs import dense_macs

    with load_engine(model, operator_library=operator_library, threads=threads) as engine:
        metadata = engine.metadata
        config = metadata.config
        clip = open_clip(video, config.num_segments, config.preprocessing)
        prediction = engine.run(clip[None])
        name = engine.name
    names = config.class_names or tuple(f"class {i}" for i in range(config.num_classes))
    ranked = [
        {
            "label": names[index],
            "class": int(index),
            "probability": float(prediction.probabilities[0, index]),
        }
        for index in prediction.top(top)[0]
    ]
    needed, dense = int(prediction.macs[0]), dense_macs(metadata.layers, config.num_segments)
    if as_json:
        click.echo(json_text({"engine": name, "top": ranked, "macs": needed, "dense_macs": dense}))
        return
    for entry in ranked:
        click.echo(f"{entry['probability']:7.1%}  {entry['label']}")
    click.echo(
        f"{needed / 1e9:.3f} of {dense / 1e9:.3f} GFLOPs (multiply-accumulates) on {name}.",
        err=True,
    )
    click.echo(f"Next: adafuse-deploy inspect {model}", err=True)

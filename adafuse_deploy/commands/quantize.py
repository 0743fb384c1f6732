"""``adafuse-deploy quantize``: a float32 graph becomes an INT8 graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adafuse_deploy.commands.lists import list_options
from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import FILE, ModelFile, Number, OutputFile, json_option, verb
from adafuse_deploy.commands.output import made, report, talkative
from adafuse_deploy.engines.suffixes import GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading

DEFAULT_CLIPS = 64


@verb(
    epilog="Example: adafuse-deploy quantize model.onnx --data calibration.txt -o model.int8.onnx"
)
@click.argument("graph", type=ModelFile(*GRAPHS))
@click.option(
    "--data",
    type=FILE,
    required=True,
    help="List of videos, with labels or without.",
)
@list_options
@click.option(
    "-o", "--output", type=OutputFile(*GRAPHS), required=True, help="The ONNX file to make."
)
@click.option(
    "--clips",
    type=click.IntRange(1),
    default=DEFAULT_CLIPS,
    show_default=True,
    help="Observe at most so many clips, evenly spaced in the list.",
)
@click.option(
    "--calibrator",
    type=click.Choice(["max", "percentile"]),
    default="max",
    show_default=True,
    help="Represent the largest value seen, or clip the rarest.",
)
@click.option("--percentile", type=Number(0, 100, min_open=True), default=99.99, show_default=True)
@click.option(
    "--activations",
    type=click.Choice(["uint8", "int8"]),
    default="uint8",
    show_default=True,
    help="uint8 for CPUs; int8 for TensorRT, which knows no unsigned integers.",
)
@json_option
def command(
    graph: Path,
    data: Path,
    output: Path,
    clips: int,
    calibrator: str,
    percentile: float,
    activations: str,
    json_file: str | None,
    reading: ListReading,
) -> None:
    """Quantise GRAPH, an ONNX file made by 'adafuse-deploy export', after training.

    The result is standard ONNX with explicit quantisation (Q/DQ): it runs in plain ONNX Runtime and
    OpenVINO, and engines are built from it like from any other graph.
    """
    from adafuse_deploy.core.progress import progress
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.exporters.quantize import QuantizeOptions, quantize
    from adafuse_deploy.graph.read import read_graph

    options = QuantizeOptions(calibrator, percentile, activations)
    config = read_graph(graph)[1].config
    listed = ListedClips(config, data, reading=reading, labels="unused", count=clips)
    observed = [clip for clip, _ in progress(listed, "reading", show=talkative(), unit="clips")]
    found = quantize(graph, output, observed, options, progress=talkative())
    noisy = sorted(
        (layer for layer in found["layers"] if layer["sqnr_db"] is not None),
        key=lambda layer: layer["sqnr_db"],
    )
    lines = [
        f"Against float32 on these clips: {found['policy_agreement']:.2f} % of the decisions and "
        f"{found['top1_agreement']:.1f} % of the best classes are the same, logits differ by up to "
        f"{100 * found['logits_error']:.1f} % of their RMS.",
        *(
            f"Least precise: {layer['kind']} {layer['name']}, {layer['sqnr_db']:.1f} dB."
            for layer in noisy[:3]
        ),
    ]
    report(found, lines, json_file)
    made(f"Wrote {output}.")
    if activations == "uint8":
        advise("build-engine", output, "--backend", "onnxruntime")
    else:
        advise("inspect", output)

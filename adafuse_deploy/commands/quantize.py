"""``adafuse-deploy quantize``: a float32 graph becomes an INT8 graph."""

from __future__ import annotations

import click

from adafuse_deploy.json_text import json_text

DEFAULT_CLIPS = 64


@click.command(
    epilog="Example: adafuse-deploy quantize model.onnx --data calibration.txt -o model.int8.onnx"
)
@click.argument("graph")
@click.option(
    "--data", required=True, help="List file: 'path num_frames label' or 'path label' a line."
)
@click.option("--root", help="Folder that the list's paths start from [the list's own].")
@click.option("-o", "--output", required=True, help="The ONNX file to make.")
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
@click.option("--percentile", type=float, default=99.99, show_default=True)
@click.option(
    "--activations",
    type=click.Choice(["uint8", "int8"]),
    default="uint8",
    show_default=True,
    help="uint8 for CPUs; int8 for TensorRT, which knows no unsigned integers.",
)
@click.option("--json", "json_file", help="Write the report with every layer's error here.")
def command(
    graph: str,
    data: str,
    root: str | None,
    output: str,
    clips: int,
    calibrator: str,
    percentile: float,
    activations: str,
    json_file: str | None,
) -> None:
    """Quantise GRAPH, an ONNX file made by 'adafuse-deploy export', after training.

    The result is standard ONNX with explicit quantisation (Q/DQ): it runs in plain ONNX Runtime and
    OpenVINO, and engines are built from it like from any other graph.
    """
    from adafuse_deploy.engines.graph import read_graph
    from adafuse_deploy.files import write_text
    from adafuse_deploy.quantization.quantize import QuantizeOptions, quantize
    from adafuse_deploy.verification.clips import ListedClips

    options = QuantizeOptions(calibrator, percentile, activations)
    listed = ListedClips(read_graph(graph)[1].config, data, root=root, count=clips)
    click.echo(f"Observing {len(listed)} clips ...", err=True)
    observed = [clip for clip, _ in listed]
    report = quantize(graph, output, observed, options, progress=True)
    if json_file:
        write_text(json_file, json_text(report, indent=2) + "\n")
    noisy = sorted(
        (layer for layer in report["layers"] if layer["sqnr_db"] is not None),
        key=lambda layer: layer["sqnr_db"],
    )
    click.echo(
        f"Wrote {output}. Against float32 on these clips: {report['policy_agreement']:.2f} % of "
        f"the decisions and {report['top1_agreement']:.1f} % of the best classes are the same, "
        f"logits differ by up to {100 * report['logits_error']:.1f} % of their RMS."
    )
    for layer in noisy[:3]:
        click.echo(f"Least precise: {layer['kind']} {layer['name']}, {layer['sqnr_db']:.1f} dB.")
    if json_file:
        click.echo(f"Wrote {json_file}.")
    click.echo(f"Next: adafuse-deploy build-engine {output} --backend onnxruntime")

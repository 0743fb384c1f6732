"""``adafuse-deploy export``: a checkpoint becomes a portable ONNX graph."""

from __future__ import annotations

import click

from adafuse_deploy.commands.checkpoints import checkpoint_options


@click.command(
    epilog="Example: adafuse-deploy export official.pth.tar --official --temporal-shift -o tsm.onnx"
)
@click.argument("checkpoint")
@click.option("-o", "--output", required=True, help="The ONNX file to make.")
@click.option(
    "--mode",
    type=click.Choice(["clip", "stream"]),
    default="clip",
    show_default=True,
    help="clip: T frames in, logits out; stream: one frame in, its history as inputs and outputs.",
)
@checkpoint_options
def command(checkpoint: str, output: str, mode: str, **options: object) -> None:
    """Export CHECKPOINT to ONNX with conditional operators and their function bodies.

    The graph is compared with PyTorch in ONNX Runtime, with and without the operator library,
    before it is written.
    """
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.files import sha256

    model = load_checkpoint(checkpoint, **options)  # type: ignore[arg-type]
    click.echo(f"Tracing {model.config.backbone} and checking it against PyTorch ...", err=True)
    metadata = export(model, output, mode=mode, checkpoint_sha256=sha256(checkpoint))
    shape = "x".join(map(str, metadata.input_shape))
    name = "frames" if mode == "clip" else "frame"
    click.echo(
        f"Wrote {output}: input {name} (N, {shape}), {len(metadata.gates)} gates, "
        f"{metadata.config.num_classes} classes."
    )
    official = " --official" if options["official"] else ""
    click.echo(f"Next: adafuse-deploy verify {output} --checkpoint {checkpoint}{official}")

"""``adafuse-deploy convert``: an official checkpoint becomes one of ours."""

from __future__ import annotations

import click


@click.command(
    epilog="Example: adafuse-deploy convert official.pth.tar --temporal-shift -o ckpt.pt"
)
@click.argument("checkpoint")
@click.option("-o", "--output", required=True, help="The checkpoint to make.")
@click.option("--temporal-shift", is_flag=True, help="It was trained with --shift (TSM).")
@click.option("--num-segments", type=click.IntRange(1), default=8, show_default=True)
@click.option("--size", type=click.IntRange(1), default=224, show_default=True)
@click.option("--classes", help="File with the names of the classes.")
def command(
    checkpoint: str,
    output: str,
    temporal_shift: bool,
    num_segments: int,
    size: int,
    classes: str | None,
) -> None:
    """Convert CHECKPOINT of the public AdaFuse code to one that records its own configuration."""
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.files import sha256
    from adafuse_deploy.models.checkpoint import save_checkpoint

    model = load_checkpoint(
        checkpoint,
        official=True,
        temporal_shift=temporal_shift,
        num_segments=num_segments,
        size=size,
        classes=classes,
    )
    save_checkpoint(model, output, converted_from=sha256(checkpoint))
    stages = ", ".join(map(str, model.config.gated_stages)) or "none"
    click.echo(f"Wrote {output}: {model.config.backbone}, gated stages: {stages}.")
    click.echo(f"Next: adafuse-deploy export {output} -o model.onnx")

"""``adafuse-deploy convert``: an official checkpoint becomes one of ours."""

from __future__ import annotations

from pathlib import Path

import click

from adafuse_deploy.commands.next_step import advise, graph_name
from adafuse_deploy.commands.options import FILE, OutputFile, verb
from adafuse_deploy.commands.output import made


@verb(epilog="Example: adafuse-deploy convert official.pth.tar --temporal-shift -o ckpt.pt")
@click.argument("checkpoint", type=FILE)
@click.option("-o", "--output", type=OutputFile(), required=True, help="The checkpoint to make.")
@click.option("--temporal-shift", is_flag=True, help="It was trained with --shift (TSM).")
@click.option("--num-segments", type=click.IntRange(1), default=8, show_default=True)
@click.option("--size", type=click.IntRange(1), default=224, show_default=True)
@click.option("--classes", type=FILE, help="File with the names of the classes.")
def command(
    checkpoint: Path,
    output: Path,
    temporal_shift: bool,
    num_segments: int,
    size: int,
    classes: Path | None,
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
    made(f"Wrote {output}: {model.config.backbone}, gated stages: {stages}.")
    advise("export", output, "-o", graph_name(output))

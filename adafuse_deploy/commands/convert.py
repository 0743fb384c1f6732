"""``adafuse-deploy convert``: an official checkpoint becomes one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adafuse_deploy.commands.checkpoints import checkpoint_options
from adafuse_deploy.commands.next_step import advise, graph_name
from adafuse_deploy.commands.options import FILE, OutputFile, verb
from adafuse_deploy.commands.output import made


@verb(epilog="Example: adafuse-deploy convert official.pth.tar --temporal-shift -o ckpt.pt")
@click.argument("checkpoint", type=FILE)
@click.option("-o", "--output", type=OutputFile(), required=True, help="The checkpoint to make.")
@checkpoint_options
def command(checkpoint: Path, output: Path, **options: Any) -> None:
    """Convert CHECKPOINT of other code to one that records its own configuration.

    That is the public AdaFuse code, TSM's or mmaction2.
    """
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.models.checkpoint import save_checkpoint

    model = load_checkpoint(checkpoint, **{**options, "official": True})
    save_checkpoint(model, output, converted_from=sha256(checkpoint))
    stages = ", ".join(map(str, model.config.gated_stages)) or "none"
    made(f"Wrote {output}: {model.config.backbone}, gated stages: {stages}.")
    advise("export", output, "-o", graph_name(output))

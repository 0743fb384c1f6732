"""``adafuse-deploy convert``: a checkpoint of other code, or form, becomes one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adafuse_deploy.commands.checkpoints import checkpoint_options
from adafuse_deploy.commands.next_step import advise, graph_name
from adafuse_deploy.commands.options import ModelFile, OutputFile, verb
from adafuse_deploy.commands.output import made
from adafuse_deploy.engines.suffixes import CHECKPOINTS


@verb(epilog="Example: adafuse-deploy convert tsm.pth.tar --temporal-shift -o ckpt.safetensors")
@click.argument("checkpoint", type=ModelFile(*CHECKPOINTS))
@click.option("-o", "--output", type=OutputFile(), required=True, help="The checkpoint to make.")
@checkpoint_options
def command(checkpoint: Path, output: Path, **options: Any) -> None:
    """Convert CHECKPOINT of other code to one that records its own configuration.

    That is the public AdaFuse code, TSM's or mmaction2.  A checkpoint of adafuse-deploy is written
    anew, with everything it records, in the form that OUTPUT's name says: safetensors, or .pt.
    """
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.models.checkpoint import ENTRIES, is_ours, save_checkpoint
    from adafuse_deploy.models.checkpoint_file import load_content

    content = load_content(checkpoint)
    beside: dict[str, Any] = {"converted_from": sha256(checkpoint)}
    if is_ours(content):
        beside = {name: value for name, value in content.items() if name not in ENTRIES}
    model = load_checkpoint(checkpoint, content=content, **options)
    save_checkpoint(model, output, **beside)
    stages = ", ".join(map(str, model.config.gated_stages)) or "none"
    made(f"Wrote {output}: {model.config.backbone}, gated stages: {stages}.")
    advise("export", output, "-o", graph_name(output))

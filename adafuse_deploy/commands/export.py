"""``adafuse-deploy export``: a checkpoint becomes a portable ONNX graph."""

from __future__ import annotations

from pathlib import Path

import click

from adafuse_deploy.commands.checkpoints import DESCRIPTION, checkpoint_options
from adafuse_deploy.commands.next_step import advise, advise_running, same_options
from adafuse_deploy.commands.options import ModelFile, OutputFile, verb
from adafuse_deploy.commands.output import made, note
from adafuse_deploy.engines.suffixes import CHECKPOINTS, GRAPHS


@verb(
    epilog="Example: adafuse-deploy export official.pth.tar --official --temporal-shift -o tsm.onnx"
)
@click.argument("checkpoint", type=ModelFile(*CHECKPOINTS))
@click.option(
    "-o", "--output", type=OutputFile(*GRAPHS), required=True, help="The ONNX file to make."
)
@click.option(
    "--mode",
    type=click.Choice(["clip", "stream"]),
    default="clip",
    show_default=True,
    help="clip: T frames in, logits out; stream: one frame in, its history as inputs and outputs.",
)
@checkpoint_options
def command(checkpoint: Path, output: Path, mode: str, **options: object) -> None:
    """Export CHECKPOINT to ONNX with conditional operators and their function bodies.

    The graph is compared with PyTorch in ONNX Runtime, with and without the operator library,
    before it is written.
    """
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.exporters.onnx_exporter import export

    model = load_checkpoint(checkpoint, **options)  # type: ignore[arg-type]
    note(f"Tracing {model.config.backbone} and checking it against PyTorch ...")
    metadata = export(model, output, mode=mode, checkpoint_sha256=sha256(checkpoint), notify=note)
    shape = "x".join(map(str, metadata.input_shape))
    name = "frames" if mode == "clip" else "frame"
    made(
        f"Wrote {output}: input {name} (N, {shape}), {len(metadata.gates)} gates, "
        f"{metadata.config.num_classes} classes."
    )
    if mode == "stream":
        advise_running(str(output), mode)
    else:
        described = same_options(DESCRIPTION)
        advise("verify", output, "--checkpoint", checkpoint, *described)

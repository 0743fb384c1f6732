"""``adafuse-deploy prune``: channels that no video needs leave a network for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.checkpoints import checkpoint_options
from adafuse_deploy.commands.lists import list_options
from adafuse_deploy.commands.next_step import advise, graph_name
from adafuse_deploy.commands.options import (
    FILE,
    ModelFile,
    OutputFile,
    batch_size_option,
    json_option,
    verb,
)
from adafuse_deploy.commands.output import made, note, report, talkative
from adafuse_deploy.engines.suffixes import CHECKPOINTS, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading

EVERY = 5
"""Without a list of its own, one of so many clips is held out."""


@verb(epilog="Example: adafuse-deploy prune ckpt.pt --data calibration.txt -o pruned.pt")
@click.argument("model", type=ModelFile(*CHECKPOINTS))
@click.option(
    "--data", type=FILE, required=True, help="List of videos to calibrate on, labels or not."
)
@list_options
@click.option(
    "-o",
    "--output",
    type=OutputFile(*CHECKPOINTS, *GRAPHS),
    required=True,
    help="The checkpoint or graph to make.",
)
@click.option(
    "--holdout",
    type=FILE,
    help=f"List of videos to see on what it costs. [one of {EVERY} of --data]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Channels needed in at most this share of the frames go too.",
)
@click.option(
    "--clips", type=click.IntRange(1), help="Take so many clips of each list, evenly spaced. [all]"
)
@batch_size_option
@json_option
@checkpoint_options
def command(
    model: Path,
    data: Path,
    output: Path,
    holdout: Path | None,
    tolerance: float,
    clips: int | None,
    batch_size: int,
    json_file: str | None,
    reading: ListReading,
    **options: Any,
) -> None:
    """Take out of MODEL, a checkpoint, the channels that the videos of --data never need.

    A channel is never needed if in every frame of every clip what the next layer reads of it is
    zero: it is skipped, reused where there is nothing to reuse, or zero by itself.  It leaves the
    convolutions on both sides and the policy network.  A gate whose remaining channels are all
    kept always becomes a plain layer.  On these videos the other decisions stay what they were; on
    others the pruned network can answer otherwise, and how often is measured on --holdout.

    The result runs wherever other checkpoints and graphs do; runtimes that compute every channel
    gain most.
    """
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.core.files import sha256
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.exporters.prune import prune_by_clips

    network = load_checkpoint(model, **options)

    def listed(path: Path) -> ListedClips:
        return ListedClips(network.config, path, reading=reading, count=clips)

    seen = listed(data)
    if holdout is not None:
        held = listed(holdout)
    else:
        numbers = range(len(seen))
        held = seen.some([index for index in numbers if index % EVERY == EVERY - 1])
        seen = seen.some([index for index in numbers if index % EVERY != EVERY - 1])
    found = prune_by_clips(
        network, seen, held, tolerance=tolerance, batch_size=batch_size, progress=talkative()
    )
    digest = sha256(model)
    values = {"model": str(model), "output": str(output), **found.to_dict()}
    if output.suffix in GRAPHS:
        from adafuse_deploy.exporters.onnx_exporter import export

        export(found.model, output, checkpoint_sha256=digest, notify=note)
    else:
        from adafuse_deploy.models.checkpoint import save_checkpoint

        record = {name: values[name] for name in ("tolerance", "channels", "pruned_channels")}
        record |= {"calibration": found.calibration.to_dict(), "holdout": values["holdout"]}
        save_checkpoint(found.model, output, pruning={"pruned_from": digest, **record})
    report(values, found.lines(), json_file)
    made(f"Wrote {output}.")
    if output.suffix in GRAPHS:
        advise("build-engine", output, "--backend", "onnxruntime")
    else:
        advise("export", output, "-o", graph_name(output))

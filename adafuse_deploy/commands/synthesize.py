"""``adafuse-deploy synthesize``: labelled procedural videos as files."""

from __future__ import annotations

from pathlib import Path

import click

from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import FOLDER, verb
from adafuse_deploy.commands.output import made, talkative


@verb(epilog="Example: adafuse-deploy synthesize videos --count 100 --seed 1")
@click.argument("folder", type=FOLDER)
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Clips.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the clips."
)
@click.option("--size", type=click.IntRange(16), default=72, show_default=True, help="Pixels.")
@click.option("--frames", type=click.IntRange(2), default=24, show_default=True, help="Length.")
@click.option("--images", is_flag=True, help="Write folders of JPEG images, not video files.")
def command(folder: Path, count: int, seed: int, size: int, frames: int, images: bool) -> None:
    """Write COUNT procedural videos with list and class files into the new FOLDER.

    The classes come in time-reversed pairs, so only a network that sees the order of the frames
    can tell the two of a pair apart.
    """
    from adafuse_deploy.assets import SHIPPED
    from adafuse_deploy.data.synthesize import CLASSES_NAME, write_dataset

    listing = write_dataset(
        folder,
        count,
        seed=seed,
        size=size,
        num_frames=frames,
        as_video=not images,
        progress=talkative(),
    )
    classes = listing.parent / CLASSES_NAME
    made(f"Wrote {count} clips; list {listing}, classes {classes}.")
    advise("evaluate", SHIPPED, "--data", listing)

"""``adafuse-deploy synthesize``: labelled procedural videos as files."""

from __future__ import annotations

import click


@click.command(epilog="Example: adafuse-deploy synthesize videos --count 100 --seed 1")
@click.argument("folder")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Clips.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the clips.")
@click.option("--size", type=click.IntRange(16), default=72, show_default=True, help="Pixels.")
@click.option("--frames", type=click.IntRange(2), default=24, show_default=True, help="Length.")
@click.option("--images", is_flag=True, help="Write folders of JPEG images, not video files.")
def command(folder: str, count: int, seed: int, size: int, frames: int, images: bool) -> None:
    """Write COUNT procedural videos with list and class files into the new FOLDER.

    The classes come in time-reversed pairs, so only a network that sees the order of the frames
    can tell the two of a pair apart.
    """
    from adafuse_deploy.data.synthesize import CLASSES_NAME, write_dataset

    listing = write_dataset(
        folder, count, seed=seed, size=size, num_frames=frames, as_video=not images
    )
    classes = listing.parent / CLASSES_NAME
    click.echo(f"Wrote {count} clips; list {listing}, classes {classes}.")
    click.echo(f"Next: adafuse-deploy train --data {listing} --classes {classes} -o ckpt.pt")

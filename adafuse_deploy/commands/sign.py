"""``adafuse-deploy sign``: a signature beside a model, which others can require."""

from __future__ import annotations

from pathlib import Path

import click

from adafuse_deploy.commands.options import FILE, verb
from adafuse_deploy.commands.output import made
from adafuse_deploy.engines.signature import sign


@verb(epilog="Example: adafuse-deploy sign model.onnx --key key.pem")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=FILE,
    required=True,
    help="Private elliptic key in PEM; the password of an encrypted one is in the environment "
    "variable ADAFUSE_KEY_PASSWORD.",
)
@click.option("--password", envvar="ADAFUSE_KEY_PASSWORD", hidden=True)
def command(model: Path, key: Path, password: str | None) -> None:
    """Sign MODEL: a graph, a checkpoint, an engine with its sidecar, or a folder.

    The signature, MODEL.sig, is a Sigstore bundle (OpenSSF Model Signing).  Every verb that opens a
    model takes the public key as --require-signature.
    """
    made(f"Wrote {sign(model, key, password=password)}.")

"""What is seen of a file of weights before the packages that read it are asked for."""

from __future__ import annotations

import os
from pathlib import Path

from adafuse_deploy.core.errors import InputError

_ZIP, _PICKLE = b"PK", b"\x80"
"""How files of ``torch.save`` begin: since version 1.6, and before it."""


def existing(path: str | os.PathLike[str]) -> Path:
    """Return the path of a checkpoint.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; check the path.")
    return path


def may_be_pickle(path: Path) -> bool:
    """Return whether a file begins as those of ``torch.save`` do."""
    try:
        with open(path, "rb") as file:
            return file.read(2).startswith((_ZIP, _PICKLE))
    except OSError:
        return True  # whoever reads it says why not

"""Files of weights, ours and others', whichever way they were written."""

from __future__ import annotations

import os
from typing import Any

from adafuse_deploy.models.pickles import load_pickle
from adafuse_deploy.models.safetensors_file import is_safetensors, read_safetensors

FORMAT = "adafuse-deploy"
VERSION = 1


def load_content(path: str | os.PathLike[str]) -> Any:
    """Return what a file holds without running any code in it.

    Of ``*.safetensors`` that is the weights by name or, of a checkpoint of ours, the entries that
    ``torch.save`` would have written; of others see
    :func:`~adafuse_deploy.models.pickles.load_pickle`.

    Raises:
        InputError: the file is missing, damaged, or holds objects that would have to run code.
        IncompatibleArtifactError: another version of adafuse-deploy wrote it.
    """
    if not is_safetensors(path):
        return load_pickle(path)
    header, weights = read_safetensors(path)
    if header is None:
        return weights
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": header.metadata.config.to_dict(),
        "state_dict": weights,
        **header.beside,
    }

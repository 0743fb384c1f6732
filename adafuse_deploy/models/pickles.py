"""Files of ``torch.save``, read without running any code in them."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.models.weight_files import existing


class Inert:
    """An object that training code saved beside its weights; it keeps nothing and runs nothing."""

    def __new__(cls, *_: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


# Scores that numpy computed, options, file names and logs: no weight depends on them.
_BESIDE_WEIGHTS = (
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "mmengine.logging.history_buffer.HistoryBuffer",
)


def _stand_in(name: str) -> type[Inert]:
    """Return a class that PyTorch's reader takes for the one of this full name."""
    module, _, leaf = name.rpartition(".")
    return type(leaf, (Inert,), {"__module__": module})


_INERT = [_stand_in(name) for name in _BESIDE_WEIGHTS]


def write_pickle(content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write plain values and tensors for :func:`load_pickle`, atomically.

    Raises:
        InputError: ``path`` cannot be written, or the disk is full.
    """
    # Into memory: while it writes to a disk that fills up, PyTorch fails with errors of its own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_pickle(path: str | os.PathLike[str]) -> Any:
    """Return what ``torch.save`` wrote to ``path``: tensors and plain values.

    A few kinds of objects that training codes save beside weights become :class:`Inert`.

    Raises:
        InputError: the file is missing, truncated, or holds other objects, which would have to run
            code to load; the first is named.
    """
    path = existing(path)
    try:
        _check_sums(path)
        with torch.serialization.safe_globals(list(_INERT)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} is not a readable checkpoint: {_why(error)}") from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is truncated or damaged and cannot be read; copy it again."
        ) from error


def _check_sums(path: Path) -> None:
    """Raise :class:`zipfile.BadZipFile` if a checksum does not fit; PyTorch looks at none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # PyTorch stores 0 where it was told to compute none.
            for entry in (entry for entry in archive.infolist() if entry.CRC):
                with archive.open(entry) as file:
                    while file.read(1 << 20):
                        pass


def _why(error: pickle.UnpicklingError) -> str:
    named = re.search(r"GLOBAL (\S+)", str(error))
    found = "it holds" if named else "it is no PyTorch file, or holds"
    which = f" ({named[1]})" if named else ""
    return (
        f"{found} Python objects other than tensors and plain values{which}, which are refused "
        "because loading them could run code; save its state_dict alone."
    )

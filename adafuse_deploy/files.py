"""Writing files so that a crash or a full disk never leaves half of one behind."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adafuse_deploy.errors import InputError


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that becomes ``target`` when the block succeeds.

    The temporary file keeps the suffix of ``target``, because some writers choose their format by
    it.  On any exception it is removed and ``target`` stays as it was.

    Raises:
        InputError: the folder is missing or not writable, or the disk is full.
    """
    target = Path(target)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent or "."
        )
        os.close(handle)
        # mkstemp makes private files; an artifact gets the permissions any new file would.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
    except OSError as error:
        raise InputError(_cannot_write(target, error)) from error
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(_cannot_write(target, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``target`` (UTF-8) through :func:`atomic_path`."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _cannot_write(target: Path, error: OSError) -> str:
    return (
        f"Cannot write {target}: {error.strerror or error}. "
        "Choose another -o/--output or free some space."
    )

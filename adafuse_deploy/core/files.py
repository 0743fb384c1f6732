"""Writing files: whole or not at all, and only what the name stands for.

A symbolic link stays and what it leads to is written; an existing file keeps its mode and owner;
devices, pipes and our own standard output are written to and never replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from adafuse_deploy.core.errors import InputError


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a temporary file that becomes ``target`` when the block succeeds.

    The temporary file keeps the suffix of ``target``, because some writers choose their format by
    it.  On any exception, :class:`SystemExit` of a signal included, it is removed and ``target``
    stays as it was.  A device, a pipe or our own standard output gets the content at the end.

    Raises:
        InputError: as :func:`check_target`, or the disk is full.
    """
    target = Path(target)
    check_target(target)
    found = _status(target)
    stream = own_stream(target)
    regular = found is None or (stat.S_ISREG(found.st_mode) and stream is None)
    # Beside the file that a link leads to, because only within a file system can it be renamed.
    resolved = Path(os.path.realpath(target))
    folder = resolved.parent if regular else Path(tempfile.gettempdir())
    temporary = folder / f".{target.stem[:40]}.{secrets.token_hex(6)}{target.suffix}"
    try:
        _create(temporary, private=found is not None)
        yield temporary
        if not (regular and _takes_the_place(temporary, resolved, found)):
            _copy_into(temporary, target if stream is None else stream)
    except OSError as error:
        raise _unwritten(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target`` when the block succeeds.

    The folder that ``target`` lies in is made if it is missing.  On any exception,
    :class:`SystemExit` of a signal included, everything that was made is removed.

    Raises:
        InputError: as :func:`check_new_folder`, or the disk is full.
    """
    target = Path(target)
    check_new_folder(target)
    parent = target.parent
    made = not parent.exists()
    temporary = parent / f".{target.name[:40]}.{secrets.token_hex(6)}"
    done = False
    try:
        parent.mkdir(exist_ok=True)
        temporary.mkdir()
        yield temporary
        temporary.rename(target)
        done = True
    except OSError as error:
        raise _unwritten(target, error) from error
    finally:
        if not done:
            shutil.rmtree(temporary, ignore_errors=True)
            if made and parent.is_dir():
                parent.rmdir()


def _unwritten(target: Path, error: OSError) -> InputError:
    return InputError(
        f"Cannot write {target}: {error.strerror or error}; free some space, or choose another "
        "place."
    )


def check_new_folder(target: str | os.PathLike[str], option: str = "") -> None:
    """Refuse a name for a new folder that cannot be made, before the work whose result it is for.

    Args:
        target: the folder to make.
        option: how the user gave it, such as ``--save-failures``, for the message.

    Raises:
        InputError: it exists, or the folder around it can neither be made nor written to.
    """
    target = Path(target)
    parent = target.parent
    around = parent if os.path.lexists(parent) else parent.parent
    given = f" ({option})" if option else ""
    if os.path.lexists(target):
        raise InputError(f"{target}{given} exists already; choose another name, or delete it.")
    if not around.is_dir():
        what = "is no folder" if os.path.lexists(around) else "does not exist"
        raise InputError(f"Cannot make {target}{given}: {around} {what}; choose another place.")
    if not os.access(around, os.W_OK | os.X_OK):
        raise InputError(
            f"Cannot make {target}{given}: no new files are permitted in {around}; choose another "
            "place."
        )


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``target`` (UTF-8) through :func:`atomic_path`."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def open_lines(target: str | os.PathLike[str]) -> TextIO:
    """Open ``target`` for lines that others see as they come; what was in it is gone.

    Raises:
        InputError: as :func:`check_target`.
    """
    check_target(target)
    stream = own_stream(target)
    try:
        return open(target if stream is None else os.dup(stream), "w", 1, encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror or error}.") from error


def check_target(target: str | os.PathLike[str], option: str = "") -> None:
    """Refuse a name that cannot be written, before the work whose result it is for.

    Args:
        target: the file to write.
        option: how the user gave it, such as ``--json``, for the message.

    Raises:
        InputError: the folder is missing or not writable, or ``target`` is a folder, a block
            device, or a file that must not be written.
    """
    target = Path(target)
    try:
        reason = _obstacle(target, _status(target))
    except OSError as error:
        reason = f"{error.strerror or error}; choose another file."
    if reason:
        raise InputError(f"Cannot write {target}{f' ({option})' if option else ''}: {reason}")


def own_stream(target: str | os.PathLike[str]) -> int | None:
    """Return 1 or 2 if ``target`` names our standard output or error stream, else None."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.stat(target), os.fstat(descriptor)):
                return descriptor
        except OSError:  # there is no such file, or that stream is closed
            continue
    return None


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _status(target: Path) -> os.stat_result | None:
    """Return what the name stands for, links followed; None for a new file."""
    try:
        return os.stat(target)
    except FileNotFoundError:
        return None


def _obstacle(target: Path, found: os.stat_result | None) -> str:
    """Return why ``target`` cannot be written and what to do, or nothing."""
    if found is not None and stat.S_ISDIR(found.st_mode):
        return "it is a folder; name a file in it."
    if found is not None and stat.S_ISBLK(found.st_mode):
        return "it is a block device; name a file."
    if found is not None and own_stream(target) is None and not os.access(target, os.W_OK):
        return "it is write-protected; change its permissions or choose another file."
    if found is not None and not stat.S_ISREG(found.st_mode):
        return ""
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        return f"there is no folder {folder}; make it or choose another file."
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no new files are permitted in {folder}; choose another folder."
    return ""


def _create(path: Path, *, private: bool) -> None:
    """Make an empty file with the permissions of any new one, or for its owner alone."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))


def _takes_the_place(path: Path, target: Path, found: os.stat_result | None) -> bool:
    """Put a new file in the place of an old one, with its owner and mode; return whether it may.

    It may not where the owner cannot be kept, or where the old file is mounted by itself, as
    containers do.
    """
    try:
        if found is not None:
            made = os.stat(path)
            if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
                os.chown(path, found.st_uid, found.st_gid)
            os.chmod(path, stat.S_IMODE(found.st_mode))
        os.replace(path, target)
    except OSError as error:
        if found is not None and error.errno in (errno.EPERM, errno.EBUSY):
            return False
        raise
    return True


def _copy_into(source: Path, target: Path | int) -> None:
    """Copy a file's content into what is there, by name or descriptor."""
    with (
        open(source, "rb") as reader,
        open(target, "wb", closefd=isinstance(target, Path)) as writer,
    ):
        shutil.copyfileobj(reader, writer)

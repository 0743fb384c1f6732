"""Rows that are kept as they come, so that work which was ended in the middle can be continued."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import check_target
from adafuse_deploy.core.json_text import json_text

Row = dict[str, Any]


def journal_path(target: str | os.PathLike[str]) -> Path:
    """Return where the rows of a result are kept until it is there."""
    return Path(f"{os.fspath(target)}.partial")


class Journal:
    """A file beside a result that is not there yet: a line that says what is done, then the rows.

    A row is there once :meth:`add` returned, whatever becomes of the process.  A row that was being
    written when the process was killed is cut off when the work continues.

    Args:
        target: the result; the journal is ``target`` with ``.partial``.
        task: what is done, plain values; only the same task continues.
        key: the entry that tells rows apart.
        resume: continue what is there; start anew if nothing is.

    Attributes:
        path: of the journal.
        rows: those that are done, by their key.

    Raises:
        InputError: there is a journal and ``resume`` is False, or it is of another task, in use, or
            cannot be written.
    """

    def __init__(
        self, target: str | os.PathLike[str], task: Mapping[str, Any], *, key: str, resume: bool
    ) -> None:
        self.path = journal_path(target)
        self.rows: dict[str, Row] = {}
        self._key = key
        check_target(target)
        check_target(self.path)
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"{self.path} is no file; choose another name for {target}.")
        if self.path.exists() and not resume:
            raise InputError(
                f"{self.path} holds what earlier work on {target} had done; continue it with "
                "--resume, or delete it."
            )
        self._file: BinaryIO = open(self.path, "a+b")  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise InputError(
                f"{self.path} is in use: another process works on {target}; wait for it."
            ) from error
        try:
            self._read(dict(task))
        except BaseException:
            self._file.close()
            raise

    def add(self, row: Row) -> None:
        """Keep a row.

        Raises:
            InputError: it cannot be written, as on a full disk.
        """
        self._write(row)
        self.rows[row[self._key]] = row

    def close(self, *, done: bool) -> None:
        """Let go of the file, and delete it if the result has been written."""
        if done:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _read(self, task: Row) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        self._file.truncate(whole)
        lines = content[:whole].splitlines()
        if not lines:
            self._write(task)
            return
        try:
            first, *rows = map(json.loads, lines)
        except ValueError as error:
            raise InputError(f"{self.path} is damaged; delete it and start anew.") from error
        if first != json.loads(json_text(task)):
            raise InputError(
                f"{self.path} is of other work: another model, or other options; repeat that "
                "command, or delete the file."
            )
        self.rows = {row[self._key]: row for row in rows}

    def _write(self, row: Row) -> None:
        try:
            self._file.write(json_text(row).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"Cannot write {self.path}: {error.strerror or error}; free some space and "
                "continue with --resume."
            ) from error

"""Rows that are kept as they come, so that work which was ended in the middle can be continued."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

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
        InputError: there is a journal with rows and ``resume`` is False, or it is of another task,
            in use, or cannot be written.
    """

    def __init__(
        self, target: str | os.PathLike[str], task: Mapping[str, Any], *, key: str, resume: bool
    ) -> None:
        self.path = journal_path(target)
        self.rows: dict[str, Row] = {}
        self._target, self._key = target, key
        check_target(target)
        check_target(self.path)
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"{self.path} is no file; choose another name for {target}.")
        self._file = self._lock()
        try:
            self._read(dict(task), resume)
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
        """Let go of the file, and delete it if the result has been written or no row is done."""
        if done or not self.rows:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _lock(self) -> FileIO:
        """Open the file for this process alone."""
        while True:
            # Without a buffer, which would try again to write what a full disk did not take.
            file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.close()
                raise InputError(
                    f"{self.path} is in use: another process works on {self._target}; wait for it, "
                    "or choose another name."
                ) from error
            # Another process may have deleted it at its end, after we had opened it.
            if self.path.exists() and os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                return file
            file.close()

    def _read(self, task: Row, resume: bool) -> None:
        """Take the rows that are there; begin the file anew if it has none."""
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        try:
            found = [json.loads(line) for line in content[:whole].splitlines()]
        except ValueError as error:
            raise InputError(f"{self.path} is damaged; delete it and start anew.") from error
        if len(found) < 2:
            self._file.truncate(0)
            try:
                self._write(task)
            except InputError:
                self.path.unlink()
                raise
            return
        if not resume:
            raise InputError(
                f"{self.path} holds what earlier work on {self._target} had done; continue it with "
                "--resume, or delete it."
            )
        if found[0] != json.loads(json_text(task)):
            raise InputError(
                f"{self.path} is of other work: another model, or other options; repeat that "
                "command, or delete the file."
            )
        self._file.truncate(whole)
        self.rows = {row[self._key]: row for row in found[1:]}

    def _write(self, row: Row) -> None:
        left = memoryview(json_text(row).encode() + b"\n")
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise InputError(
                f"Cannot write {self.path}: {error.strerror or error}; free some space and "
                "continue with --resume."
            ) from error

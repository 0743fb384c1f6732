"""The files of a training run: the checkpoint, the log, and the state to resume from."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path
from typing import Any

from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.core.files import check_target, write_text
from adafuse_deploy.core.packages import PACKAGES
from adafuse_deploy.models.pickles import load_pickle, write_pickle

STATE_FORMAT = "adafuse-deploy training state"

Row = dict[str, Any]
"""One epoch's line of the log: column to value."""


class RunFiles:
    """Where a run that makes checkpoint ``out`` puts its files; all of them beside it.

    Attributes:
        checkpoint: ``out``.
        log: one line per epoch, ``<stem>.csv``.
        state: what a resumed run starts from, ``<stem>.state.pt``.
        events: TensorBoard's folder, ``<stem>.tensorboard``.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.checkpoint = Path(out)
        self.log = self.checkpoint.with_name(f"{self.checkpoint.stem}.csv")
        self.state = self.checkpoint.with_name(f"{self.checkpoint.stem}.state.pt")
        self.events = self.checkpoint.with_name(f"{self.checkpoint.stem}.tensorboard")

    def check(self, *, resume: bool = False, overwrite: bool = False) -> None:
        """Refuse names that cannot be written, or would replace what was made before.

        Args:
            resume: a run that is there is to go on.
            overwrite: it is to be replaced.

        Raises:
            InputError: as :func:`adafuse_deploy.core.files.check_target`; or there is a run, or a
                file that is no part of one.
        """
        if resume and overwrite:
            raise InputError("A run goes on (--resume) or is replaced (--overwrite); give one.")
        for path in (self.checkpoint, self.log, self.state):
            check_target(path, "-o/--output")
        if self.log.is_file() and not self._is_log():
            raise InputError(
                f"The run's log would replace {self.log}, which is none; choose another "
                "-o/--output."
            )
        found = [path for path in (self.state, self.checkpoint, self.log) if path.is_file()]
        if resume and self.checkpoint.is_file() and not self.state.is_file():
            raise InputError(
                f"{self.checkpoint} exists but {self.state}, which a run goes on from, does not; "
                "choose another -o/--output, or replace it with --overwrite."
            )
        if found and not resume and not overwrite:
            raise InputError(
                f"{found[0]} exists: go on with that run (--resume), replace it (--overwrite), or "
                "choose another -o/--output."
            )

    def clear(self) -> None:
        """Remove what a new run would mix with its own; the checkpoint stays until it is replaced.

        Raises:
            InputError: a file cannot be removed.
        """
        try:
            self.state.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)
            if self.events.is_dir():
                shutil.rmtree(self.events)
        except OSError as error:
            raise InputError(f"Cannot remove {error.filename}: {error.strerror}.") from error

    def _is_log(self) -> bool:
        with open(self.log, "rb") as file:
            return file.read(6) == b"epoch,"

    def write_log(self, rows: list[Row]) -> None:
        """Write all epochs' lines; the file is replaced as a whole."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            values = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            writer.writerow(values)
        write_text(self.log, text.getvalue())

    def write_events(self, row: Row) -> None:
        """Add one epoch to TensorBoard's events.

        Raises:
            MissingDependencyError: TensorBoard is not installed.
        """
        with event_writer()(str(self.events), purge_step=row["epoch"]) as writer:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, row["epoch"])

    def write_state(self, values: dict[str, Any]) -> None:
        """Replace the state to resume from."""
        write_pickle({"format": STATE_FORMAT, **values}, self.state)

    def read_state(self) -> dict[str, Any] | None:
        """Return the state to resume from, or None if the run has not come that far.

        Raises:
            InputError: the file is damaged or something else.
        """
        if not self.state.exists():
            return None
        state = load_pickle(self.state)
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise InputError(f"{self.state} is no training state of adafuse-deploy; remove it.")
        return state

    def check_identity(
        self, recorded: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]
    ) -> None:
        """Refuse to go on with a run of other settings.

        Args:
            recorded, now: per group, names and values.

        Raises:
            InputError: they differ (all differences named).
        """
        changed = [
            f"{name} ({recorded[group].get(name)!r}, now {value!r})"
            for group, values in now.items()
            for name, value in values.items()
            if recorded[group].get(name) != value
        ]
        if changed:
            raise InputError(
                f"{self.state} belongs to a run with other settings: {', '.join(changed)}; "
                "restore them, or start anew with another -o/--output."
            )


def event_writer() -> Any:
    """Return the class that writes TensorBoard's events.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            f"TensorBoard is not installed: pip install '{PACKAGES['tensorboard'].requirement}', "
            "or leave out --tensorboard and read the CSV log."
        ) from error
    return SummaryWriter

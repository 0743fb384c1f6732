"""What a verb says: results, files made, notes on the way and the next command.

Results and what follows from them go to standard output, unless that carries a file (``--json -``);
notes and progress go to standard error.  ``--quiet`` leaves the results.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from adafuse_deploy.core.errors import InputWarning
from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text

_QUIET, _DATA = "adafuse_deploy.quiet", "adafuse_deploy.stdout_is_data"


_warned: list[str] = []
"""The warnings of this command."""


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print our own warnings as one sentence each, and leave those of libraries as they are.

    What was said goes into the JSON of :func:`report` too.
    """
    _warned.clear()
    show_others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, InputWarning):
            show_others(message, category, *where, **more)
        elif (sentence := str(message)) not in _warned:
            _warned.append(sentence)
            click.echo(f"Warning: {sentence}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        yield


def be_quiet(ctx: click.Context) -> None:
    """Say results only, for the rest of this command."""
    ctx.meta[_QUIET] = True


def be_verbose(ctx: click.Context) -> None:
    """Show what the package logs, for the rest of this command."""
    log, handler = logging.getLogger("adafuse_deploy"), _Notes()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    def end() -> None:
        log.removeHandler(handler)
        log.setLevel(before)

    ctx.call_on_close(end)


class _Notes(logging.Handler):
    """Logged sentences on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(record.getMessage(), err=True)


def leave_stdout_to_data(ctx: click.Context | None) -> None:
    """Send text to standard error, for the rest of this command."""
    if ctx is not None:
        ctx.meta[_DATA] = True


def talkative() -> bool:
    """Return whether progress and notes are wanted."""
    return not _meta(_QUIET)


def note(text: str) -> None:
    """Say what is being done."""
    if talkative():
        click.echo(text, err=True)


def say(*lines: str) -> None:
    """Give results."""
    for line in lines:
        click.echo(line, err=_meta(_DATA))


def made(text: str) -> None:
    """Say what was made."""
    if talkative():
        say(text)


def report(
    values: Any,
    lines: Iterable[str],
    json_file: str | None,
    html_file: Path | None = None,
    html: Callable[[Any], str] | None = None,
) -> None:
    """Write a result to ``json_file`` and ``html_file``, if any, and then say it.

    Files come first: when nobody reads the text any more, the work of hours is not lost.

    Args:
        values: the result, plain values for JSON; numbers that JSON does not know become null.
            What the user was warned of is added as "warnings".
        lines: the same for people.
        json_file: a path, "-" for standard output, or None.
        html_file: a path or None.
        html: makes a page of the values.
    """
    if _warned and isinstance(values, dict):
        values = {**values, "warnings": list(_warned)}
    text = json_text(values, indent=2) if json_file else ""
    if json_file == "-":
        click.echo(text)
    elif json_file:
        write_text(json_file, text + "\n")
    if html_file and html:
        write_text(html_file, html(values))
    say(*lines)
    if json_file and json_file != "-":
        made(f"Wrote {json_file}.")
    if html_file:
        made(f"Wrote {html_file}.")


def _meta(name: str) -> bool:
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(name))

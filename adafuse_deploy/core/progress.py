"""Progress on standard error: a bar on a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from operator import length_hint
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal; work that takes less prints none."""


def progress(
    items: Iterable[Any] | None = None,
    label: str = "",
    *,
    show: bool = True,
    total: int | None = None,
    unit: str = "steps",
) -> Any:
    """Return ``items`` under a bar; without items, a bar to ``update()`` and ``close()`` by hand.

    Args:
        items: what to go through.
        label: what is being done, such as "comparing".
        show: whether anything is shown at all.
        total: number of steps, where ``items`` has no length.
        unit: what the steps are.
    """
    options: dict[str, Any] = {"desc": label, "total": total, "unit": unit}
    options["disable"] = not show or sys.stderr is None
    if sys.stderr is not None and sys.stderr.isatty():
        return tqdm(items, leave=False, delay=0.5, dynamic_ncols=True, **options)
    return _Lines(items, mininterval=LINE_SECONDS, delay=LINE_SECONDS, miniters=1, **options)


class _Lines(tqdm):  # type: ignore[type-arg]
    """A bar that is a line of text, printed anew."""

    monitor_interval = 0  # no thread that prints while nothing goes on

    def __init__(self, items: Iterable[Any] | None, **options: Any) -> None:
        form = "{desc}: {n_fmt} {unit}, {elapsed} elapsed, {rate_fmt}"
        if items is not None and options["total"] is None:
            options["total"] = length_hint(items) or None
        if options["total"] is not None:
            form = form.replace("{n_fmt}", "{n_fmt} of {total_fmt}") + ", {remaining} left"
        super().__init__(items, bar_format=form, file=sys.stderr, leave=False, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        # An empty message wipes a bar away at the end; of lines the last one says how far it came.
        print(msg or str(self), file=self.fp, flush=True)
        return False

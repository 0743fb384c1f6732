"""A progress bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress_bar(items: Iterable[Item], label: str, show: bool) -> Iterator[Item]:
    """Yield ``items`` under a bar named ``label`` if ``show`` and standard error is a terminal."""
    hidden = not (show and sys.stderr.isatty())
    yield from tqdm(items, desc=label, disable=hidden, leave=False, dynamic_ncols=True)

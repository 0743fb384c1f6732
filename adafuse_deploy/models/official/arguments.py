"""The options of a training run of the public AdaFuse code, which it leaves in RUN/args.txt.

The file holds one line, ``str`` of the parsed options: ``Namespace(ablation=False, ...,
**{'3d_pretrained_uses': 'inflation'})``.  It is parsed and never evaluated.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

from adafuse_deploy.core.errors import InputError

FILE = "args.txt"
MOST_BYTES = 1 << 16
"""Such files have 6 kB."""


def find_arguments(checkpoint: str | os.PathLike[str]) -> Path | None:
    """Return the options file of the run that wrote a checkpoint, or None.

    It lies beside the checkpoint, or beside the folder ``models`` that the checkpoint lies in.
    """
    folder = Path(checkpoint).absolute().parent
    folders = [folder, folder.parent] if folder.name == "models" else [folder]
    return next((each / FILE for each in folders if (each / FILE).is_file()), None)


def read_arguments(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the options in a file, by their names in the public code.

    Raises:
        InputError: the file cannot be read or is no such file.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"Cannot read the options in {path} ({error.strerror}).") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} {_NONE_SUCH} it has more than {MOST_BYTES} bytes.")
    return parse_arguments(content, str(path))


_NONE_SUCH = "holds no options of the public AdaFuse code, Namespace(...) on one line:"


def parse_arguments(content: bytes, source: str) -> dict[str, Any]:
    """Return the options in the bytes of a file; see :func:`read_arguments`."""
    try:
        tree = ast.parse(content.decode("utf-8-sig").strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{source} {_NONE_SUCH} it is not in Python's syntax.") from error
    found: dict[str, Any] = {}
    for name, node in _pairs(tree, source):
        if name in found:
            raise InputError(f"{source} says {name} twice; give the file as the run wrote it.")
        try:
            found[name] = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise InputError(f"{source} gives {name} something that is no plain value.") from error
    return found


def _pairs(node: ast.expr, source: str) -> list[tuple[str, ast.expr]]:
    """Return names and values of a call; names that are no identifiers stand in a ``**{...}``."""
    other = InputError(f"{source} {_NONE_SUCH} it holds something else.")
    if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name):
        raise other
    if node.func.id != "Namespace":
        raise other
    pairs: list[tuple[str, ast.expr]] = []
    for keyword in node.keywords:
        if keyword.arg is not None:
            pairs.append((keyword.arg, keyword.value))
            continue
        if not isinstance(keyword.value, ast.Dict):
            raise other
        for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise other
            pairs.append((key.value, value))
    return pairs

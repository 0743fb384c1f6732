"""Files of repositories on Hugging Face, by the names that verbs and ``load_engine`` take.

A name is ``owner/name`` or, to say more, ``hf:owner/name[/file][@revision]``.  What is there under
that name on this machine comes first; files come from the Hub's cache where it has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.core.packages import explained

_WORD = r"[A-Za-z0-9][\w.-]*"
_NAME = re.compile(
    rf"(?P<said>hf:)?(?P<repository>{_WORD}/{_WORD})(?P<file>(?:/{_WORD})+)?(?:@(?P<revision>{_WORD}))?"
)
_FILES = (".onnx", ".safetensors", ".pt", ".pth", ".tar", ".engine", ".plan")
"""Endings by which a name is a file's, whether or not it is there."""


def local_file(name: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """Return the file of a name: the name itself, or a repository's file, fetched if need be.

    Args:
        name: a path, or a repository.
        suffixes: kinds of files to take from a repository, the best first.

    Raises:
        MissingDependencyError: the name is a repository's and ``huggingface_hub`` is not installed.
        InputError: there is no such repository, it cannot be reached, or it has no such file, or
            several.
    """
    text = os.fspath(name)
    found = _NAME.fullmatch(text)
    if found is None or not (found["said"] or _is_repository(text, found)):
        return Path(text)
    try:
        with explained():
            from huggingface_hub import snapshot_download
    except MissingDependencyError as error:
        if found["said"]:
            raise
        raise MissingDependencyError(f"There is no file {text} here. {error}") from error
    file = (found["file"] or "").lstrip("/")
    if file and not file.endswith(tuple(suffixes)):
        raise InputError(f"{text} is none of the files that fit here: {', '.join(suffixes)}.")
    for pattern in [file] if file else [f"*{suffix}" for suffix in suffixes]:
        try:
            folder = snapshot_download(
                found["repository"], revision=found["revision"], allow_patterns=pattern
            )
        except Exception as error:  # huggingface_hub has no common class for its errors
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise InputError(
                f"There is no file {text} here, and Hugging Face gave no repository of that name "
                f"({reason}); check the name, the connection and, for private ones, 'hf auth "
                "login'."
            ) from error
        files = sorted(path for path in Path(folder).rglob(pattern) if path.is_file())
        best = [path for path in files if path.stem == "model"]
        if len(files) == 1 or len(best) == 1:
            return (best or files)[0]
        if files:
            names = ", ".join(str(path.relative_to(folder)) for path in files)
            raise InputError(
                f"{text} has several files that would do ({names}); say which: "
                f"hf:{found['repository']}/FILE."
            )
    raise InputError(f"{text} has no file {file or ' or '.join(f'*{s}' for s in suffixes)}.")


def is_cached(path: Path) -> bool:
    """Return whether a file lies in the Hub's cache, beside which nothing should be written."""
    return "snapshots" in path.parts and any(part.startswith("models--") for part in path.parts)


def _is_repository(text: str, found: re.Match[str]) -> bool:
    """Whether a name without "hf:" can only be a repository's."""
    path = Path(text)
    plain = found["file"] is None and path.suffix not in _FILES
    return plain and not path.exists() and not path.parent.is_dir()

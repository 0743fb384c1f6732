"""Where the native libraries are that come with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import adafuse_deploy
from adafuse_deploy.core.errors import MissingDependencyError


@dataclass(frozen=True)
class NativeLibrary:
    """One of them.

    Attributes:
        title: what messages call it.
        file_name: of the library.
        variable: of the environment, which names a file to use instead of the installed one.
        advice: what to do when a named file is not there.
    """

    title: str
    file_name: str
    variable: str
    advice: str

    def find(self) -> Path | None:
        """Return the absolute path of the file to use, or None if there is none.

        Raises:
            MissingDependencyError: the variable names no file.
        """
        named = os.environ.get(self.variable)
        if named:
            return self.existing(named, f"named by {self.variable}")
        return next((path.absolute() for path in self.places() if path.is_file()), None)

    def places(self) -> list[Path]:
        """Return where an installation may have put it.

        An editable one has two folders: the sources and, for what was built, site-packages.
        """
        return [Path(folder, "lib", self.file_name) for folder in adafuse_deploy.__path__]

    def existing(self, path: str | os.PathLike[str], origin: str) -> Path:
        """Return the absolute path of a file that somebody named.

        Args:
            path: of the file.
            origin: who named it, for the message.

        Raises:
            MissingDependencyError: there is no such file.
        """
        if not Path(path).is_file():
            raise MissingDependencyError(
                f"The {self.title} {path}, {origin}, is not a file: {self.advice}."
            )
        return Path(path).absolute()

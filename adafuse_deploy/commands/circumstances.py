"""When, on what machine, with which versions and files a result came about."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from adafuse_deploy import __version__
from adafuse_deploy.core.files import sha256


def circumstances(files: Iterable[Path | None] = ()) -> dict[str, Any]:
    """Return "created", "machine", "versions" (of the runtimes that were used) and "files".

    Args:
        files: whose hashes matter; None is left out.
    """
    from adafuse_deploy.benchmark.machine import describe_machine
    from adafuse_deploy.engines.backends import BACKENDS

    versions = {"adafuse-deploy": __version__, "Python": platform.python_version()}
    for backend in BACKENDS.values():
        module = sys.modules.get(backend.module)
        if version := getattr(module, "__version__", None):
            versions[backend.name] = str(version)
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": versions,
        "files": {str(file): sha256(file) for file in files if file},
    }

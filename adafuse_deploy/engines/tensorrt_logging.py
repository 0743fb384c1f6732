"""What the builder and the runner of TensorRT share; TensorRT for RTX has the same Python API."""

from __future__ import annotations

import functools
import logging
from types import ModuleType
from typing import Any

_log = logging.getLogger(__name__)


@functools.cache
def trt_logger(trt: ModuleType) -> Any:
    """Return the one logger of a TensorRT module; TensorRT ignores a second one.

    It keeps error messages in ``errors``, for exceptions, and passes the rest to ``logging``.
    """

    class Logger(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (self.ERROR, self.INTERNAL_ERROR):
                self.errors.append(message)
            _log.debug("%s", message)

        def failure(self) -> str:
            """Return what went wrong since the last call, in TensorRT's words."""
            messages, self.errors = self.errors, []
            return "; ".join(messages) or "it gave no reason"

    return Logger()


def make_monitor(trt: ModuleType) -> Any:
    """Return a progress monitor that shows how far TensorRT's longer phases are."""
    from adafuse_deploy.core.progress import progress

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._bars: dict[str, Any] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._bars[phase] = progress(label=phase, total=steps)

        def step_complete(self, phase: str, step: int) -> bool:
            self._bars[phase].update(step + 1 - self._bars[phase].n)
            return True

        def phase_finish(self, phase: str) -> None:
            self._bars.pop(phase).close()

    return Monitor()

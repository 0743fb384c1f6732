"""Running graphs that may kill their process: in another one, started again when it dies."""

from __future__ import annotations

import os
import pickle
import resource
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

ROOT = Path(__file__).parents[2]
MEMORY = 6 << 30
SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of a graph: "ran", "refused" or "died".

    Attributes:
        kind: of the outcome.
        message: of the refusal, or how the process died.
        outputs: of a graph that ran.
    """

    kind: str
    message: str = ""
    outputs: list[np.ndarray] = field(default_factory=list)


class IsolatedRuntime:
    """ONNX Runtime with the operator library in a process of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, model: bytes, feeds: dict[str, np.ndarray]) -> Outcome:
        """Load a serialised graph and run it once."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.native.isolation"]
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if "ADAFUSE_SHOW_WORKER" not in os.environ else None,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump((model, feeds), process.stdin)
            process.stdin.flush()
            if not select.select([process.stdout], [], [], SECONDS)[0]:
                self.close()
                return Outcome("died", f"no answer in {SECONDS:.0f} seconds")
            return _load(process.stdout)
        except (EOFError, BrokenPipeError):
            code = process.wait()
            self._process = None
            return Outcome("died", f"exit status {code}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _load(stream: BinaryIO) -> Any:
    return pickle.load(stream)


def _serve() -> None:
    """Answer until there is no more to read.  Graphs that want too much memory do not get it."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed
    import onnxruntime

    from adafuse_deploy.ops.library import register

    if "LD_PRELOAD" not in os.environ:  # a sanitiser needs all addresses
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    register(options)
    while True:
        try:
            model, feeds = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
            outcome = Outcome("ran", outputs=session.run(None, feeds))
        except Exception as error:  # onnxruntime has no common class for its errors
            outcome = Outcome("refused", str(error))
        pickle.dump(outcome, answers)
        answers.flush()


if __name__ == "__main__":
    # The classes of the answers must be found where the other process looks for them.
    from tests.native import isolation

    isolation._serve()

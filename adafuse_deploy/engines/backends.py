"""The runtimes an engine can use: one table for loading, building, verifying and doctor."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.core.packages import PACKAGES


@dataclass(frozen=True)
class Backend:
    """A runtime, imported when it is first needed.

    Attributes:
        name: as in ``--backend`` and in sidecars.
        module: what Python imports.
        witness: a name that only a working installation has; type stubs install the bare module.
        enables: what it is good for, for doctor.
        builds: it runs engines that build-engine makes, rather than graphs or checkpoints.
    """

    name: str
    module: str
    witness: str
    enables: str
    builds: bool = False

    @property
    def title(self) -> str:
        """As its makers write it."""
        return PACKAGES[self.module].title if self.module in PACKAGES else "ONNX Runtime"

    @property
    def package(self) -> str:
        """What to give to pip."""
        return PACKAGES[self.module].requirement if self.module in PACKAGES else self.module

    def load(self) -> ModuleType:
        """Import the runtime.

        Raises:
            MissingDependencyError: it is not installed or does not load; the message says how to
                get it and what else would do.
        """
        try:
            module = importlib.import_module(self.module)
            getattr(module, self.witness)
        except (ImportError, OSError, AttributeError) as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == self.module
            reason = "" if absent else f" ({error})"
            raise MissingDependencyError(
                f"{self.title} is not installed here{reason}: install it with "
                f"pip install '{self.package}', or use another backend: {self._alternatives()}."
            ) from error
        return module

    def installed(self) -> bool:
        """Whether :meth:`load` would succeed."""
        try:
            self.load()
        except MissingDependencyError:
            return False
        return True

    def version(self) -> str:
        """Return the runtime's version, such as "10.13.0.35".

        Raises:
            MissingDependencyError: see :meth:`load`.
        """
        return str(self.load().__version__)

    def _alternatives(self) -> str:
        others = [backend for backend in BACKENDS.values() if backend is not self]
        # Those of the same kind first: whoever builds an engine wants an engine.
        others.sort(key=lambda backend: backend.builds != self.builds)
        return ", ".join(f"{backend.name} ({backend.enables})" for backend in others)


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "onnxruntime",
            "onnxruntime",
            "InferenceSession",
            "runs model.onnx, on CPUs with our conditional kernels",
        ),
        Backend(
            "openvino",
            "openvino",
            "Core",
            "runs model.onnx as a dense network",
        ),
        Backend(
            "tensorrt",
            "tensorrt",
            "Builder",
            "builds engines for the NVIDIA GPU at hand",
            builds=True,
        ),
        Backend(
            "tensorrt-rtx",
            "tensorrt_rtx",
            "Builder",
            "builds engines ahead of time for chosen NVIDIA GPUs",
            builds=True,
        ),
        Backend(
            "torch",
            "torch",
            "Tensor",
            "runs checkpoints",
        ),
    )
}


def find_backend(name: str) -> Backend:
    """Return a backend by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in BACKENDS:
        raise InputError(f"There is no backend {name!r}; choose one of {', '.join(BACKENDS)}.")
    return BACKENDS[name]

"""Packages that only some parts need: one table of what they are and what installs them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adafuse_deploy.core.errors import MissingDependencyError


@dataclass(frozen=True)
class Package:
    """A package that the runtime does without.

    Attributes:
        title: as its makers write it.
        extra: of adafuse-deploy, which brings it.
        job: what takes it, after "needed to".
    """

    title: str
    extra: str
    job: str

    @property
    def requirement(self) -> str:
        """What to give to pip."""
        return f"adafuse-deploy[{self.extra}]"


PACKAGES = {
    "torch": Package("PyTorch", "export", "run checkpoints, export, train and bench"),
    "onnxscript": Package("ONNX Script", "export", "export"),
    "yaml": Package("PyYAML", "train", "read recipes"),
    "tensorboard": Package("TensorBoard", "train", "write --tensorboard"),
    "openvino": Package("OpenVINO", "openvino", "run graphs as dense networks"),
    "tensorrt": Package("TensorRT", "tensorrt", "build and run engines on the GPU at hand"),
    "tensorrt_rtx": Package(
        "TensorRT for RTX", "tensorrt-rtx", "build engines ahead of time and run them"
    ),
    "pyarrow": Package("PyArrow", "parquet", "write Parquet tables"),
    "ray": Package("Ray", "ray", "label videos on a cluster"),
    "huggingface_hub": Package(
        "huggingface_hub", "hub", "take models from repositories on Hugging Face"
    ),
    "model_signing": Package("model-signing", "sign", "sign models and to check signatures"),
    "matplotlib": Package("Matplotlib", "report", "draw figures and write --html"),
    "jinja2": Package("Jinja", "report", "write --html"),
    "triton": Package("Triton", "gpu-kernels", "compile the GPU kernels"),
}
"""By the name that Python imports."""


def need(module: str) -> None:
    """Import one of :data:`PACKAGES`, before anything else is done that would be in vain without.

    Raises:
        MissingDependencyError: it is not installed.
    """
    with explained():
        importlib.import_module(module)


@contextmanager
def explained() -> Iterator[None]:
    """Say in a sentence which package an import in the block wanted in vain, and what brings it.

    Raises:
        MissingDependencyError: one of :data:`PACKAGES` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = PACKAGES.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        raise MissingDependencyError(
            f"{package.title} is not installed here; it is needed to {package.job}: "
            f"pip install '{package.requirement}'."
        ) from error

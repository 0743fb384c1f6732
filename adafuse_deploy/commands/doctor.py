"""``adafuse-deploy doctor``: what this machine can do, and how to make it do more."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click

from adafuse_deploy.commands.next_step import advise_running
from adafuse_deploy.commands.options import json_option, verb
from adafuse_deploy.commands.output import report
from adafuse_deploy.core.errors import MissingDependencyError
from adafuse_deploy.engines.backends import BACKENDS

REQUIRABLE = {
    **{backend.name: backend.title for backend in BACKENDS.values()},
    "operator-library": "operator library",
    "gpu": "NVIDIA GPU",
}
"""What --require takes, and the item that tells."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        item: what.
        found: whether it is there and works.
        detail: version and properties, or why not.
        use: what it enables, or how to get it.
    """

    item: str
    found: bool
    detail: str
    use: str = ""


@verb(epilog="Example: adafuse-deploy doctor --require onnxruntime --require operator-library")
@click.option(
    "--require",
    "required",
    multiple=True,
    type=click.Choice(list(REQUIRABLE)),
    help="Exit with 3 if this is missing; repeatable.",
)
@json_option
def command(required: tuple[str, ...], json_file: str | None) -> None:
    """List versions, runtimes, kernels, GPUs and codecs, and what each is good for."""
    from adafuse_deploy.assets import SHIPPED_GRAPH

    findings = [finding for check in _CHECKS for finding in check()]
    lines = [
        f"{'yes' if found.found else 'no '}  {found.item}: {found.detail}"
        + (f"; {found.use}" if found.use else "")
        for found in findings
    ]
    report([asdict(finding) for finding in findings], lines, json_file)
    present = {finding.item for finding in findings if finding.found}
    missing = [name for name in required if REQUIRABLE[name] not in present]
    if missing:
        raise MissingDependencyError(
            f"Missing here: {', '.join(missing)}; the lines above say how to get it."
        )
    advise_running(str(SHIPPED_GRAPH), "clip")


def _python() -> list[Finding]:
    from adafuse_deploy import __version__

    system = f"{platform.system()} {platform.machine()}"
    return [
        Finding("adafuse-deploy", True, __version__),
        Finding("Python", True, f"{platform.python_version()} on {system}"),
    ]


def _processor() -> list[Finding]:
    from adafuse_deploy.benchmark.machine import describe_machine
    from adafuse_deploy.core.process import usable_processors

    machine, cores = describe_machine(), usable_processors()
    known = ", ".join(machine["instruction_sets"]) or "unknown vector instructions"
    return [
        Finding("CPU", True, f"{machine['processor']}, {cores} cores for this process, {known}"),
    ]


def _packages() -> list[Finding]:

    findings = [_onnx()]
    for backend in BACKENDS.values():
        try:
            module = backend.load()
        except MissingDependencyError as error:
            reason = str(error.__cause__)
            way = f"pip install '{backend.package}'; it {backend.enables}"
            findings.append(Finding(backend.title, False, reason, way))
            continue
        detail = str(module.__version__)
        if backend.name == "onnxruntime":
            detail += f" with {', '.join(module.get_available_providers())}"
        elif backend.name == "openvino":
            detail += f" with {', '.join(module.Core().available_devices)}"
        elif backend.name == "torch":
            cuda = module.version.cuda
            detail += f" with CUDA {cuda}" if cuda else " for CPUs"
        findings.append(Finding(backend.title, True, detail, backend.enables))
    return findings


def _onnx() -> Finding:
    use = "reads and exports graphs"
    try:
        return Finding("ONNX", True, str(importlib.import_module("onnx").__version__), use)
    except ImportError as error:
        return Finding("ONNX", False, str(error), f"pip install onnx; it {use}")


def _operator_library() -> list[Finding]:
    from adafuse_deploy.ops.library import library_hash, operator_library_path, register

    item = "operator library"
    try:
        path = operator_library_path()
        register(BACKENDS["onnxruntime"].load().SessionOptions(), path)
    except MissingDependencyError as error:
        return [Finding(item, False, str(error), "without it saved FLOPs save no time")]
    detail = f"{path} loads, SHA-256 {library_hash(path)[:12]}..."
    return [Finding(item, True, detail, "conditional kernels in ONNX Runtime on CPUs")]


def _gpu() -> list[Finding]:
    from adafuse_deploy.engines.cuda_driver import Gpu

    try:
        gpu = Gpu()
    except MissingDependencyError as error:
        reason = str(error.__cause__)
        return [Finding("NVIDIA GPU", False, reason, "needed to run engines of TensorRT")]
    detail = f"{gpu.name}, compute capability {gpu.compute_capability}"
    return [Finding("NVIDIA GPU", True, detail, "runs engines of TensorRT")]


def _video() -> list[Finding]:
    item = "PyAV (FFmpeg)"
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        return [Finding(item, False, str(error), "pip install av; it reads video files")]
    readable = []
    for codec in ("h264", "hevc", "mpeg4", "vp8", "vp9", "av1"):
        try:
            av.codec.Codec(codec, "r")
            readable.append(codec)
        except ValueError:
            continue
    writable = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    detail = f"{av.__version__}, reads {', '.join(readable)}, writes {writable}"
    return [Finding(item, True, detail, "reads video files")]


_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _python,
    _processor,
    _packages,
    _operator_library,
    _gpu,
    _video,
)

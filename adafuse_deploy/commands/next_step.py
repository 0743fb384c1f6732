"""The command line that a verb advises at its end, which runs as it is printed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from adafuse_deploy.commands.output import note
from adafuse_deploy.engines.suffixes import ENGINES


def advise(*words: object) -> None:
    """Print "Next: adafuse-deploy ..." with the words quoted for a shell, on standard error.

    A :class:`~pathlib.Path` that looks like an option becomes ``./-name``.
    """
    text = [f"./{word}" if _like_an_option(word) else str(word) for word in words]
    note(f"Next: {shlex.join(['adafuse-deploy', *text])}")


def advise_running(model: str, mode: str, video: str | None = None, *options: str) -> None:
    """Advise to run a graph, engine or checkpoint on a video, by default the shipped one.

    Of an engine for GPUs where there is none, 'inspect' is what runs.

    Args:
        model: the file.
        mode: what it takes: "clip" or "stream".
        video: a video file or a folder of frames.
        options: how to read it.
    """
    from adafuse_deploy.assets import SAMPLE_VIDEO

    source = Path(video or SAMPLE_VIDEO)
    if Path(model).suffix in ENGINES and not gpu_present():
        advise("inspect", Path(model))
    elif mode == "stream":
        advise("stream", Path(model), source, *options)
    else:
        advise("classify", source, "--model", Path(model), *options)


def graph_name(checkpoint: Path) -> Path:
    """Return what to call a checkpoint's export: beside it, or here if it came with the package."""
    from adafuse_deploy.assets import SHIPPED
    from adafuse_deploy.core.hub import is_cached

    name = checkpoint.name
    for suffix in (".tar", ".pth", ".pt", ".safetensors"):
        name = name.removesuffix(suffix)
    folder = checkpoint.parent
    if folder.resolve() == SHIPPED.parent.resolve() or is_cached(checkpoint):
        folder = Path()
    if not os.access(folder, os.W_OK):
        folder = Path()
    return folder / f"{name}.onnx"


def gpu_present() -> bool:
    """Return whether there is a GPU that engines of TensorRT could run on."""
    from adafuse_deploy.core.errors import MissingDependencyError
    from adafuse_deploy.engines.cuda_driver import Gpu

    try:
        Gpu()
    except MissingDependencyError:
        return False
    return True


def same_options(names: Iterable[str]) -> list[str]:
    """Return those of the named options that were given to this verb, as words to give again."""
    ctx = click.get_current_context()
    words: list[str] = []
    for option in ctx.command.params:
        name = str(option.name)
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if isinstance(option, click.Option) and name in names and given:
            words += _words(option, ctx.params[name])
    return words


def _words(option: click.Option, value: Any) -> list[str]:
    flag = option.opts[-1]
    if option.is_flag:
        return [flag] if value else option.secondary_opts[-1:]
    values = value if option.multiple else [value]
    return [word for entry in values for word in (flag, str(entry))]


def _like_an_option(word: object) -> bool:
    return isinstance(word, Path) and str(word).startswith("-")

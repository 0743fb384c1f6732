"""What the verbs' options have in common: files that are checked first, --json, --quiet."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from adafuse_deploy.commands.output import be_quiet, be_verbose, leave_stdout_to_data
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import check_new_folder, check_target, own_stream
from adafuse_deploy.core.hub import local_file
from adafuse_deploy.core.packages import need
from adafuse_deploy.core.process import MOST_THREADS
from adafuse_deploy.engines.signature import REQUIRED, check_signature
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS
from adafuse_deploy.models.weight_files import existing

WORDS = "The words are explained in docs/glossary.md."

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
ANY_PATH = click.Path()
"""A file or folder, as text; like those above it lets shells complete names."""


class ModelFile(click.Path):
    """A checkpoint, graph or engine: a path, or a repository on Hugging Face that has one.

    Args:
        suffixes: kinds of files to take from a repository, the best first.
    """

    def __init__(self, *suffixes: str) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self.suffixes = suffixes

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        return super().convert(local_file(value, self.suffixes), param, ctx)

    def check(self, path: Path) -> None:
        """See what can be seen of a file before the packages that read it are asked for.

        Raises:
            InputError: a checkpoint that is not there, or that stands for a graph.
        """
        if set(CHECKPOINTS) <= set(self.suffixes):
            if path.suffix not in (*GRAPHS, *ENGINES):
                existing(path)
        elif path.suffix in CHECKPOINTS:
            raise InputError(
                f"{path} is a checkpoint; 'adafuse-deploy export' makes a graph of it, which is "
                "wanted here."
            )


def _option_names(param: click.Parameter | None) -> str:
    """How an option is given, for a message; nothing of an argument."""
    return "/".join(param.opts) if isinstance(param, click.Option) else ""


class OutputFile(click.Path):
    """A file to write, as a path; refused before any work if it cannot be written.

    Args:
        suffixes: endings one of which the name must have; none allows any.
        dash: ``-`` stands for standard output; the value is then text.
        packages: what such a file is made with, as Python imports it.
    """

    def __init__(self, *suffixes: str, dash: bool = False, packages: tuple[str, ...] = ()) -> None:
        super().__init__(allow_dash=dash)
        self.suffixes, self.packages = suffixes, packages

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        name = os.fspath(value)
        option = _option_names(param)
        if name == "-" and self.allow_dash:
            leave_stdout_to_data(ctx)
            return name
        if self.suffixes and not name.endswith(self.suffixes):
            given = f" ({option})" if option else ""
            raise InputError(
                f"{name}{given} must end in {' or '.join(self.suffixes)}, by which it is known."
            )
        check_target(name, option)
        if own_stream(name) == 1:
            leave_stdout_to_data(ctx)
        return name if self.allow_dash else Path(name)


class NewFolder(click.Path):
    """A folder to make, as a path; refused before any work if it cannot be made."""

    def __init__(self) -> None:
        super().__init__(file_okay=False)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        check_new_folder(value, _option_names(param))
        return Path(value)


class Number(click.FloatRange):
    """A finite number in a range."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class NumberOr(Number):
    """A finite number above another, or a word.

    Args:
        word: that stands for a number.
        least: what the number must be above.
    """

    def __init__(self, word: str, least: float) -> None:
        super().__init__(least, min_open=True)
        self.word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == self.word else super().convert(value, param, ctx)


THREADS = click.IntRange(1, MOST_THREADS)
"""Of a runtime."""

batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), default=16, show_default=True
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Threads that read videos ahead.",
)

json_option = click.option(
    "--json",
    "json_file",
    type=OutputFile(dash=True),
    metavar="FILE",
    help="Write the result to FILE as JSON; with -, to standard output and the text to standard "
    "error.",
)

html_option = click.option(
    "--html",
    "html_file",
    type=OutputFile(".html", ".htm", packages=("jinja2", "matplotlib")),
    metavar="FILE",
    help="Write the result to FILE as a page with plots that needs nothing else to be read.",
)


SIGNED_BY = f"{__name__}.signed_by"
"""In a context's ``meta``: the public key that must have signed every model, or None."""


class Verb(click.Command):
    """A command whose outputs cannot be its inputs, and whose models are looked at before all else:
    whether they are there, and signed if that is required.

    Then packages are asked for that its outputs are made with.
    """

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return both, whatever context asks first: click keeps the option that it then makes."""
        return ["-h", "--help"]

    def invoke(self, ctx: click.Context) -> Any:
        _keep_inputs(ctx)
        for param in self.params:
            if not isinstance(param.type, ModelFile):
                continue
            given = ctx.params.get(str(param.name))
            for model in given if isinstance(given, tuple) else [given] if given else []:
                param.type.check(model)
                if key := ctx.meta.get(SIGNED_BY):
                    check_signature(model, key)
        for param in self.params:
            if isinstance(param.type, OutputFile) and ctx.params.get(str(param.name)):
                for package in param.type.packages:
                    need(package)
        return super().invoke(ctx)


def _keep_inputs(ctx: click.Context) -> None:
    """Refuse an output that is a file the command reads, by whatever name.

    Raises:
        InputError: names the output and its option.
    """
    files = [param for param in ctx.command.params if isinstance(param.type, click.Path)]
    outputs = [param for param in files if isinstance(param.type, OutputFile)]
    sources: list[str] = []
    for param in files:
        given = ctx.params.get(str(param.name))
        if param not in outputs and given:
            sources += given if isinstance(given, tuple) else [given]
    for param in outputs:
        target = ctx.params.get(str(param.name))
        if target is None or target == "-" or not os.path.isfile(target):
            continue
        if any(os.path.exists(source) and os.path.samefile(source, target) for source in sources):
            raise InputError(
                f"{target} ({'/'.join(param.opts)}) would replace what this command reads; choose "
                "another file."
            )


def _require_signature() -> click.Option:
    def keep(ctx: click.Context, option: click.Parameter, key: Path | None) -> None:
        ctx.meta[SIGNED_BY] = key

    return click.Option(
        ["--require-signature"],
        type=FILE,
        metavar="KEY",
        envvar=REQUIRED,
        expose_value=False,
        callback=keep,
        help="Refuse models that the owner of this public key did not sign ('sign').",
    )


def verb(**settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a verb: ``click.command`` with what the help of all verbs has.

    Args:
        settings: as for ``click.command``; ``epilog`` is an example.
    """
    settings["epilog"] = f"{settings['epilog']}\n\n{WORDS}"

    def decorate(function: Callable[..., Any]) -> click.Command:
        command = click.command(cls=Verb, **settings)(function)
        quiet = click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=lambda ctx, option, wanted: be_quiet(ctx) if wanted else None,
            help="Print results and errors only: no progress, no advice.",
        )
        verbose = click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=lambda ctx, option, wanted: be_verbose(ctx) if wanted else None,
            help="Say more: also which videos were decoded in full, and why.",
        )
        command.params += [quiet, verbose]
        if any(isinstance(param.type, ModelFile) for param in command.params):
            command.params.append(_require_signature())
        return command

    return decorate

"""The ``adafuse-deploy`` command: one verb per file in :mod:`adafuse_deploy.commands`.

Exit codes: 0 success; 1 a check failed or the input is wrong; 2 usage; 3 a missing dependency or
operator library; 4 an incompatible artifact.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import sys
from collections.abc import Sequence

import click

from adafuse_deploy import __version__
from adafuse_deploy.commands.output import plain_warnings
from adafuse_deploy.core.errors import AdaFuseError
from adafuse_deploy.core.packages import explained
from adafuse_deploy.core.process import OutputLost, clean_exit, guarded_output

PROGRAM = "adafuse-deploy"

# Verb -> its line in --help.  The modules load only when their verb runs, so that --help works
# with none of the optional runtimes installed.
VERBS = {
    "export": "Export a checkpoint to ONNX with conditional operators.",
    "prune": "Take out of a checkpoint the channels that no video needs.",
    "quantize": "Quantise a portable graph to INT8.",
    "build-engine": "Build an engine, or a fused graph, from a portable graph.",
    "package": "Package a graph or an engine for Triton Inference Server.",
    "verify": "Check engines against the network: policies, logits, accuracy, latency.",
    "bench": "Time an adaptive network against dense peers.",
    "profile": "Show where the time of a graph goes, node by node.",
    "classify": "Recognise the action in a video, or in many.",
    "stream": "Recognise what happens before a camera, frame by frame.",
    "train": "Train a network.",
    "evaluate": "Measure a checkpoint's accuracy and FLOPs.",
    "policies": "Count and draw what the gates decide over videos.",
    "convert": "Convert a checkpoint of other code (AdaFuse, TSM, mmaction2).",
    "synthesize": "Write a labelled set of procedural videos.",
    "card": "Write a model card of a checkpoint, graph or engine.",
    "sign": "Sign a model, so that others can require it.",
    "inspect": "Describe a checkpoint, graph or engine.",
    "doctor": "List what this machine can do.",
}


class Verbs(click.Group):
    """A group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"adafuse_deploy.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in VERBS and not word.startswith("-") and not ctx.resilient_parsing:
            similar = difflib.get_close_matches(word, VERBS, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(similar)}?" if similar else "see --help for all."
            raise click.UsageError(f"There is no verb {word!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _list_models(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from adafuse_deploy.models.registry import model_names

        click.echo("\n".join(model_names()))
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 a check failed or wrong input, 2 usage, 3 a missing "
    "dependency, 4 an incompatible artifact.\n\nThe words are explained in docs/glossary.md.",
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(
    "--list-models",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_models,
    help="List the names that --model and --arch take.",
)
def adafuse_deploy() -> None:
    """Deploy AdaFuse video recognition: export, build, verify and run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with the documented exit code.

    A process that is ended by SIGTERM or SIGHUP, or whose output nobody reads any more, leaves
    with 128 + the number of the signal, as the shell counts.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with clean_exit():
        try:
            with guarded_output(), plain_warnings():
                code = _run(words)
        except OutputLost as lost:
            code = 141 if lost.cause.errno == errno.EPIPE else 1
            if code == 1:
                reason = lost.cause.strerror or lost.cause
                click.echo(f"Error: Cannot write to standard output: {reason}.", err=True)
    if code:
        sys.exit(code)


def _run(words: list[str]) -> int:
    """Run the command line and return the exit code; errors are one sentence."""
    try:
        # The words go along as the context's object: a checkpoint records the command it came from.
        with explained():
            adafuse_deploy.main(words, prog_name=PROGRAM, obj=words, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except AdaFuseError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except OSError as error:  # of a file that could be read a moment ago, or must not be
        what = f"{error.filename}: " if error.filename else ""
        click.echo(f"Error: {what}{error.strerror or error}.", err=True)
        return 1
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        click.echo(
            f"Error: There is not enough memory{reason}; choose smaller numbers, or use another "
            "machine.",
            err=True,
        )
        return 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return 130
    return 0


if __name__ == "__main__":
    main()

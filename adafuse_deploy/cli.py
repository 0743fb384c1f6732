"""The ``adafuse-deploy`` command: one verb per file in :mod:`adafuse_deploy.commands`.

Exit codes: 0 success; 1 a check failed or the input is wrong; 2 usage; 3 a missing dependency or
operator library; 4 an incompatible artifact.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from adafuse_deploy import __version__
from adafuse_deploy.errors import AdaFuseError

# Verb -> its line in --help.  The modules load only when their verb runs, so that --help works
# with none of the optional runtimes installed.
VERBS = {
    "export": "Export a checkpoint to ONNX with conditional operators.",
    "quantize": "Quantise an exported graph to INT8.",
    "build-engine": "Build an engine from an exported graph.",
    "verify": "Check engines against PyTorch: policies, logits, accuracy, latency.",
    "bench": "Time an adaptive network against dense peers.",
    "classify": "Recognise the action in a video.",
    "stream": "Recognise what happens before a camera, frame by frame.",
    "train": "Train a network.",
    "evaluate": "Measure a checkpoint's accuracy and FLOPs.",
    "convert": "Convert a checkpoint of the public AdaFuse code.",
    "synthesize": "Write a labelled set of procedural videos.",
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    epilog="Exit codes: 0 success, 1 a check failed or wrong input, 2 usage, 3 a missing "
    "dependency, 4 an incompatible artifact.",
)
@click.version_option(__version__, prog_name="adafuse-deploy")
def adafuse_deploy() -> None:
    """Deploy AdaFuse video recognition: export, build, verify and run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with the documented exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # The words go along as the context's object: a checkpoint records the command it came from.
        adafuse_deploy.main(words, obj=words, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except AdaFuseError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()

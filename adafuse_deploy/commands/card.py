"""``adafuse-deploy card``: a model card, for a repository or whoever is handed the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.checkpoints import checkpoint_options
from adafuse_deploy.commands.description import (
    Description,
    describe,
    gmacs_of,
    in_words,
    read_model,
)
from adafuse_deploy.commands.next_step import advise
from adafuse_deploy.commands.options import FILE, ModelFile, OutputFile, verb
from adafuse_deploy.commands.output import made
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.json_text import json_text, parse_json
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.evaluation.result import Evaluation

UNSTATED = "No licence was stated; ask whoever made the model before you use it."


@verb(epilog="Example: adafuse-deploy card model.onnx --evaluation result.json --license mit")
@click.argument("file", type=ModelFile(*GRAPHS, *CHECKPOINTS))
@click.option(
    "-o",
    "--output",
    type=OutputFile(".md", dash=True),
    default="-",
    help="Markdown file to make, such as README.md. [standard output]",
)
@click.option("--name", help="Of the model. [that of FILE]")
@click.option("--license", "licence", help="Of the weights, by its SPDX name. [none is stated]")
@click.option(
    "--evaluation",
    type=FILE,
    help="What 'evaluate --json' wrote. [what a checkpoint records of its training]",
)
@click.option("--measured-on", help="The videos of the evaluation, in words.")
@checkpoint_options
def command(
    file: Path,
    output: str,
    name: str | None,
    licence: str | None,
    evaluation: Path | None,
    measured_on: str | None,
    **options: Any,
) -> None:
    """Write a model card of FILE, a checkpoint, graph or engine: Markdown with a YAML head.

    It says what the network is, its accuracy, what a clip costs, what its gates decide, the
    licence, and how to run it.  What is not known is not claimed.
    """
    found = read_model(file, options)
    details = found[2]
    recorded = details.get("evaluation")
    values = recorded if evaluation is None else _read(evaluation)
    result = None if values is None else _evaluation(values, evaluation or file)
    if measured_on is None and evaluation is None:
        measured_on = details.get("test_set", "the validation videos of its training")
    title = name or file.name.partition(".")[0]
    text = card(file, found, title, licence, result, measured_on or f"the videos of {evaluation}")
    if output == "-":
        click.echo(text)
        return
    from adafuse_deploy.core.files import write_text

    write_text(output, f"{text}\n")
    made(f"Wrote {output}.")
    advise("inspect", file)


def card(
    file: Path,
    found: Description,
    title: str,
    licence: str | None,
    result: Evaluation | None,
    measured_on: str,
) -> str:
    """Return the card.

    Args:
        file: the model.
        found: what it says about itself.
        title: its name.
        licence: SPDX name; None if nobody stated one.
        result: its accuracy, cost and policies, if they are known.
        measured_on: the videos of ``result``, in words.
    """
    kind, metadata, details = found
    said = describe(metadata)
    if file.suffix not in (*GRAPHS, *ENGINES):
        del said["written_by"]  # of a checkpoint that is who reads it
    rows = {"file": f"{file.name}, {kind}, SHA-256 {details['sha256']}", **said}
    parts = [
        *_head(title, licence, result, measured_on),
        "",
        f"# {title}",
        "",
        f"{metadata.config.summary}. AdaFuse decides frame by frame and channel by channel what to "
        "keep, to reuse from the previous frame, and to skip.",
        "",
        *_table(("", ""), [(key.replace("_", " "), in_words(text)) for key, text in rows.items()]),
    ]
    if result is not None:
        parts += ["", "## Accuracy and cost", "", *_measured(result, measured_on)]
    else:
        costs = in_words({name.replace("_", " "): v for name, v in gmacs_of(metadata).items()})
        parts += ["", "## Cost", "", f"GMACs per clip: {costs}. Accuracy was not measured."]
    parts += ["", "## How to run", "", *_commands(file, metadata.mode), "", "## Licence", ""]
    return "\n".join([*parts, licence or UNSTATED])


def _head(
    title: str, licence: str | None, result: Evaluation | None, measured_on: str
) -> list[str]:
    """Return the head in YAML, whose strings are those of JSON."""
    lines = ["---", *([f"license: {json_text(licence)}"] if licence else [])]
    lines += ["library_name: adafuse-deploy", "pipeline_tag: video-classification"]
    lines += ["tags: [adafuse, action-recognition, adaptive-computation]"]
    if result is not None:
        lines += [
            "model-index:",
            f"- name: {json_text(title)}",
            "  results:",
            "  - task: {type: video-classification}",
            f"    dataset: {{name: {json_text(measured_on)}, type: video}}",
            "    metrics:",
            f"    - {{type: accuracy, name: top-1, value: {result.top1:.2f}}}",
            f"    - {{type: accuracy, name: top-5, value: {result.top5:.2f}}}",
            f"    - {{type: gmacs, name: GMACs per clip, value: {result.gmacs:.5g}}}",
        ]
    return [*lines, "---"]


def _measured(result: Evaluation, measured_on: str) -> list[str]:
    shares = [*([result.overall] if result.overall else []), *result.gates]
    lines = _table(
        ("top-1", "top-5", "GMACs per clip", "of dense", "videos"),
        [
            (
                f"{result.top1:.2f} %",
                f"{result.top5:.2f} %",
                f"{result.gmacs:.5g}",
                f"{100 * result.relative_flops:.1f} %",
                str(result.clips),
            )
        ],
    )
    lines += ["", f"Measured on {measured_on}; GMACs are billions of multiply-accumulates."]
    if shares:
        rows = [(s.name, f"{s.skip:.3f}", f"{s.reuse:.3f}", f"{s.keep:.3f}") for s in shares]
        lines += ["", *_table(("gate", "skip", "reuse", "keep"), rows)]
    return lines


def _commands(file: Path, mode: str) -> list[str]:
    if file.suffix in (*GRAPHS, *ENGINES):
        install, model, first = "adafuse-deploy", file.name, []
    else:
        install, model = "'adafuse-deploy[export]'", "model.onnx"
        first = [f"adafuse-deploy export {file.name} -o {model}"]
    run = f"stream {model} video.mp4" if mode == "stream" else f"classify video.mp4 --model {model}"
    return ["```sh", f"pip install {install}", *first, f"adafuse-deploy {run}", "```"]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"There is no readable file {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(
            f"{path} is no JSON ({error}); give what 'evaluate --json' wrote."
        ) from error


def _evaluation(values: Any, source: Path) -> Evaluation:
    from dataclasses import fields

    from adafuse_deploy.evaluation.result import Evaluation

    names = {field.name for field in fields(Evaluation)} | {"gflops", "dense_gflops"}
    try:
        if not isinstance(values, dict):
            raise TypeError("it is no record of one")
        known = {name: value for name, value in values.items() if name in names}
        return Evaluation.from_dict({**known, "relative_flops": values["relative_flops"]})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"The evaluation in {source} is incomplete ({error}); give what 'adafuse-deploy "
            "evaluate --json' wrote with --evaluation."
        ) from error

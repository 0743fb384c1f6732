"""Pages of reference that are made from the program itself, so that they cannot be stale."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import adafuse_deploy
from adafuse_deploy.cli import PROGRAM, VERBS
from adafuse_deploy.cli import adafuse_deploy as program
from scripts.docs.blocks import blocks, pages
from scripts.docs.source_links import site_uri

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / "native/runtime/include/adafuse"
SCHEMA = ROOT / "adafuse_deploy/schema/operators.json"


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown; cells may hold any text or begin with code."""
    lines = [titles, ["---"] * len(titles), *rows]
    cells = (
        [cell if cell[:1] == "`" else cell.replace("|", "\\|") for cell in line] for line in lines
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def cli_page() -> str:
    """Return what --help says of every verb."""
    text = (
        "# Every verb\n\nWhat `--help` says of every verb, made from the program; "
        "[the command line](../command_line.md) says what verbs have in common.\n\n"
    )
    group = click.Context(program, info_name=PROGRAM)
    for verb in VERBS:
        command = program.get_command(group, verb)
        assert command is not None
        text += f"## {verb}\n\n{verb_help(command, verb, group)}\n"
    return text


def verb_help(command: click.Command, verb: str, parent: click.Context) -> str:
    """Return a verb's usage, explanation, options and examples in Markdown."""
    context = click.Context(
        command, info_name=verb, parent=parent, help_option_names=["-h", "--help"]
    )
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"```text\n{PROGRAM} {verb} {usage}\n```\n\n{paragraphs(command.help or '')}\n"
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # arguments are explained in the text
            names, meaning = record
            rows.append([f"`{names}`", escaped(re.sub(r"\s+", " ", meaning))])
    return f"{text}\n{table(['option', ''], rows)}\n{paragraphs(command.epilog or '')}"


def paragraphs(help_text: str) -> str:
    """Return click's help text in Markdown: what it does not wrap is a block of code."""
    made = []
    for part in inspect.cleandoc(help_text).split("\n\n"):
        if part.startswith("\b\n"):
            made.append(f"```text\n{part[2:]}\n```")
        elif part.startswith("Example: "):
            command = " ".join(part.removeprefix("Example: ").split())
            made.append(f"Example:\n\n```text\n{command}\n```")
        elif "docs/glossary.md" not in part:
            made.append(escaped(" ".join(part.split())))
    return "\n\n".join(made) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([*_<\[\]`])", r"\\\1", text)


def python_page() -> str:
    """Return directives for the public names, by kind."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": [], "Constants": []}
    for name in adafuse_deploy.__all__:
        value: Any = getattr(adafuse_deploy, name)
        kind = "Functions" if inspect.isfunction(value) else "Constants"
        if inspect.isclass(value):
            kind = "Errors" if issubclass(value, Exception) else "Classes"
        kinds[kind].append(name)
    text = (
        "# Python\n\nThe public names of the package, by their docstrings. "
        "They load on first use, so `import adafuse_deploy` is quick.\n"
    )
    for kind, names in kinds.items():
        text += f"\n## {kind}\n\n"
        if kind == "Constants":
            values = [[f"`{name}`", f"`{getattr(adafuse_deploy, name)!r}`"] for name in names]
            text += table(["name", "value"], values)
            continue
        for name in names:
            text += f"::: adafuse_deploy.{adafuse_deploy._HOME[name]}.{name}\n\n"
    return text


def header_page(title: str, names: list[str], purpose: str) -> str:
    """Return headers with their comments as text.

    Args:
        title: of the page.
        names: of the headers.
        purpose: what the page is for.
    """
    text = f"# {title}\n\n{purpose}\n"
    for name in names:
        source = (HEADERS / name).read_text(encoding="utf-8")
        text += f"\n## adafuse/{name}\n\n{header(source, 'c' if name.endswith('.h') else 'cpp')}"
    return text


GUARDS = re.compile(
    r"^#ifndef ADAFUSE_\w+_H\n#define \w+_H\n|^#pragma once\n|^#include .*\n"
    r'|^#ifdef __cplusplus\n(?:extern "C" \{|\})\n#endif\n|^#endif\s*\Z'
    r"|^namespace adafuse \{\n|^\}  // namespace adafuse\n",
    re.M,
)
COMMENT = re.compile(r"^(?:/\*(?:[^*]|\*(?!/))*\*/\n|(?://.*\n)+)", re.M)


def header(source: str, language: str) -> str:
    """Return a header in Markdown: comments of the outermost level as text, the rest as code."""
    source = GUARDS.sub("", source)
    text, at = "", 0
    for match in [*COMMENT.finditer(source), None]:
        code = source[at : match.start() if match else len(source)].strip("\n")
        if code.strip():
            text += f"```{language}\n{code}\n```\n\n"
        if match:
            text += comment_text(match[0]) + "\n\n"
            at = match.end()
    return text


def comment_text(comment: str) -> str:
    """Return a comment's paragraphs; what is indented in it stays a block of code."""
    body = re.sub(r"^/\*|\*/$", "", comment.strip()).splitlines()
    lines = [re.sub(r"^ ?(?:\*|//) ?", "", line).rstrip() for line in body]
    made = [f"    {line.strip()}" if line.startswith("  ") else line.strip() for line in lines]
    text = "\n".join(escaped(line) if not line.startswith("    ") else line for line in made)
    return re.sub(r"(?<=\S)\n(?=    )", "\n\n", text).strip()


def operators_page() -> str:
    """Return every operator's inputs, outputs and attributes."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    text = (
        "# Operator schemas\n\n"
        f"Inputs, outputs and attributes of every operator of the domain `{schema['domain']}`, "
        f"version {schema['version']}, made from the file that Python and the operator library "
        "read; [operators](../operators.md) explains them.\n"
    )
    for operator in schema["operators"]:
        text += f"\n## {operator['name']}\n\n{escaped(operator['meaning'])}\n\n"
        rows = []
        for kind in ("input", "output", "attribute"):
            for entry in operator[f"{kind}s"]:
                optional = ", optional" if entry.get("optional") else ""
                shape = f"`{entry['shape']}`" if "shape" in entry else ""
                meaning = escaped(entry["meaning"])
                rows.append(
                    [f"`{entry['name']}`", f"{kind}{optional}", entry["type"], shape, meaning]
                )
        text += table(["name", "", "type", "shape", ""], rows)
    return text


def not_run_page() -> str:
    """Return the blocks of the documentation that no test executes, and why."""
    found = [block for page in pages() for block in blocks(page)]
    code = [block for block in found if block.language not in ("", "text")]
    rows = []
    for block in code:
        if block.not_run:
            name = block.page.removeprefix("docs/")
            where = name if name == "README.md" else f"[{name}](../{site_uri(block.page)})"
            rows.append(
                [f"{where}, {block.line}", f"`{block.code.strip().splitlines()[0]}`", block.not_run]
            )
    return (
        "# What no test executes\n\n"
        f"The commands and snippets of these pages that tests check by form only, and why: "
        f"{len(rows)} of {len(code)} blocks. The others are run, in the order of their page "
        "(`pytest tests/docs`).\n\n" + table(["page, line", "begins with", "because"], rows)
    )


def reference() -> dict[str, str]:
    """Return all pages of reference: their sources and Markdown."""
    cpp = sorted(path.name for path in HEADERS.glob("*.hpp"))
    cpp.sort(key=lambda name: name != "engine.hpp")
    return {
        "reference/cli.md": cli_page(),
        "reference/python.md": python_page(),
        "reference/c.md": header_page(
            "C",
            ["adafuse.h"],
            "The library in C, by the comments of its header; "
            "[the guide](../cpp.md#c-and-every-language-that-calls-c) begins with an example.",
        ),
        "reference/cpp.md": header_page(
            "C++",
            cpp,
            "The library in C++, by the comments of its headers; [the guide](../cpp.md) begins "
            "with examples. Everything is in the namespace `adafuse`.",
        ),
        "reference/operators.md": operators_page(),
        "reference/not_run.md": not_run_page(),
    }


ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc|obj):<code>(?:~[\w.]*\.)?(.*?)</code>")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show roles of Sphinx in docstrings, such as :func:`name`, as code."""
    return ROLE.sub(r"<code>\1</code>", html)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    from mkdocs.structure.files import File

    for uri, markdown in reference().items():
        files.append(File.generated(config, uri, content=markdown))
    return files

"""Every command and snippet of README.md and docs/, by its form; test_snippets_run.py runs them.

``scripts/docs/blocks.py`` says how a page marks what cannot be run, and why.
"""

from __future__ import annotations

import ast
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

import adafuse_deploy
from adafuse_deploy.cli import PROGRAM
from adafuse_deploy.cli import adafuse_deploy as program
from scripts.docs.blocks import ROOT, Block, blocks, pages, parsed

FORMS = {"sh", "python", "cpp", "c", "cmake", "json", "text"}
BLOCKS = [block for page in pages() for block in blocks(page)]


def named(block: Block) -> str:
    return str(block)


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def test_every_block_says_its_language() -> None:
    assert not [str(block) for block in BLOCKS if block.language not in {*FORMS, ""}]
    # Drawings in text are the only blocks without one.
    plain = [block for block in BLOCKS if not block.language]
    assert not [str(block) for block in plain if PROGRAM in block.code]


def test_comments_and_output_belong_to_their_block() -> None:
    page = """
<!-- not run: needs
     a GPU -->
```sh
first
```

<!-- exits with 4 -->
<!-- before: touch it -->
```sh
second
```

```text
Error
```
"""
    first, second, _ = parsed(page, "page.md")
    assert (first.not_run, first.line, first.output) == ("needs a GPU", 5, "")
    assert (second.exit_code, second.before, second.output) == (4, "touch it", "Error\n")


def commands(block: Block) -> list[list[str]]:
    """Return the words of every adafuse-deploy command in a block for shells."""
    found = []
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while PROGRAM in words:
            words = words[words.index(PROGRAM) + 1 :]
            ends = (i for i, word in enumerate(words) if set(word) & set("|&;><)"))
            found.append(words[: next(ends, len(words))])
    return found


@pytest.mark.parametrize("block", of("sh"), ids=named)
def test_commands_are_ones_that_exist(block: Block) -> None:
    """Verbs, options, numbers of arguments and choices, also where nothing can be run."""
    subprocess.run(["bash", "-n"], input=block.code, text=True, check=True)
    for words in commands(block):
        if words in ([], ["--help"], ["VERB", "--help"]):
            continue
        command = program.get_command(click.Context(program), words[0])
        assert command is not None, words
        context = click.Context(command, info_name=words[0])
        values, rest, _ = command.make_parser(context).parse_args(words[1:])
        assert not rest, words
        for parameter in command.params:
            value = values.get(str(parameter.name))
            given = isinstance(value, str | tuple | list) and bool(value)
            assert given or not parameter.required, (words, parameter.name)
            if isinstance(parameter.type, click.Choice) and isinstance(value, str):
                parameter.type.convert(value, parameter, context)


@pytest.mark.parametrize("block", of("python", "json"), ids=named)
def test_code_can_be_read(block: Block) -> None:
    if block.language == "json":
        json.loads(block.code)
        return
    used = [
        node.attr
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "adafuse_deploy"
    ]
    assert set(used) <= {*adafuse_deploy.__all__, "data", "ops"}


COMPILERS = {"cpp": ("c++", "-std=c++17"), "c": ("cc", "-std=c11")}
CODED = sorted({(block.page, block.language) for block in BLOCKS if block.language in COMPILERS})


@pytest.mark.parametrize(("page", "language"), CODED)
def test_c_and_cpp_compile(page: str, language: str, tmp_path: Path) -> None:
    """A page's snippets, one behind the other in a function, by the headers alone."""
    compiler, standard = COMPILERS[language]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    found = [block for block in blocks(ROOT / page) if block.language == language]
    assert not [str(block) for block in found if block.not_run]
    everything = "\n".join(f"{block.before}\n{block.code}" for block in found)
    includes = [line for line in everything.splitlines() if line.startswith("#include")]

    def rest(code: str) -> str:
        return "\n".join(line for line in code.splitlines() if line not in includes)

    names = [rest(block.before) for block in found]
    bodies = [f"{{\n{rest(block.code)}\n}}" for block in found]
    source = tmp_path / f"snippets.{language}"
    source.write_text("\n".join([*includes, *names, "void snippets(void) {", *bodies, "}"]))
    folders = ("native/runtime/include", "native/third_party/onnxruntime")
    paths = [f"-I{ROOT / folder}" for folder in folders]
    subprocess.run([compiler, standard, "-fsyntax-only", *paths, str(source)], check=True)

"""The runtime alone: what wants a package that is not there says which, in a sentence."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import adafuse_deploy
from adafuse_deploy.assets import SHIPPED, SHIPPED_GRAPH
from adafuse_deploy.core.packages import PACKAGES

VIDEO = SHIPPED.with_name("moving_left.mp4")
WITHOUT = f"import sys\nfor name in {tuple(PACKAGES)}: sys.modules[name] = None\n"


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT + program], capture_output=True, text=True)


def _verb(*words: object) -> subprocess.CompletedProcess[str]:
    return _python(f"from adafuse_deploy.cli import main\nmain({[str(word) for word in words]})")


def test_every_package_is_in_the_extra_that_is_named() -> None:
    requirements = importlib.metadata.requires("adafuse-deploy") or []
    for module, package in PACKAGES.items():
        wanted = module.replace("_", "-").replace("yaml", "pyyaml")
        entries = [entry for entry in requirements if entry.lower().startswith(wanted)]
        assert any(f"extra == '{package.extra}'" in entry.replace('"', "'") for entry in entries)
        assert all("extra ==" in entry for entry in entries), entries


@pytest.mark.parametrize(
    "words",
    [
        ("export", SHIPPED, "-o", "model.onnx"),
        ("inspect", SHIPPED),
        ("convert", SHIPPED, "-o", "other.pt"),
        ("classify", VIDEO, "--model", SHIPPED),
        ("stream", SHIPPED, VIDEO),
        ("evaluate", SHIPPED, "--synthetic", 2),
        ("verify", SHIPPED_GRAPH, "--checkpoint", SHIPPED),
        ("bench", "--arch", "adafuse_tsm_resnet18", "--peers", "onnxruntime"),
        ("bench", "--arch", "adafuse_tsm_resnet18"),
    ],
    ids=lambda words: words[0],
)
def test_verbs_that_need_pytorch(
    words: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _verb(*words)
    assert done.returncode == 3, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("Error: PyTorch is not installed here")
    assert "pip install 'adafuse-deploy[export]'" in error
    assert not list(tmp_path.iterdir())


def test_training_names_the_extra_that_brings_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _verb("train", "--synthetic", "-o", "model.pt")
    assert done.returncode == 3 and "pip install 'adafuse-deploy[train]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_compiler_of_gpu_kernels() -> None:
    done = _python(
        "import runpy\nsys.argv[1:] = ['--output', 'x']\n"
        "runpy.run_module('adafuse_deploy.ops.triton.compile', run_name='__main__')"
    )
    assert done.returncode == 3 and "pip install 'adafuse-deploy[gpu-kernels]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inspect", "missing.pt"), "There is no checkpoint missing.pt; check the path."),
        (("export", "missing.pt", "-o", "x.onnx"), "There is no checkpoint missing.pt"),
        (("classify", VIDEO, "--model", "missing.pt"), "There is no checkpoint missing.pt"),
        (("evaluate", "missing.safetensors", "--synthetic", 1), "There is no checkpoint missing"),
        (("verify", SHIPPED), "is a checkpoint; 'adafuse-deploy export' makes"),
        (
            ("quantize", SHIPPED, "--data", VIDEO, "-o", "x.onnx"),
            "is a checkpoint; 'adafuse-deploy export' makes",
        ),
        (("inspect", VIDEO), "is none of the files that can be inspected"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_is_not_there_is_said_first(words: tuple[object, ...], said: str) -> None:
    """Whoever mistypes a name must not install a gigabyte to hear of it."""
    done = _verb(*words)
    assert done.returncode == 1 and said in done.stderr, done.stderr


def test_a_name_without_the_hub_may_be_a_mistyped_path() -> None:
    done = _verb("inspect", "models/missing")
    assert done.returncode == 3 and "There is no file models/missing here" in done.stderr


def test_verbs_of_the_runtime(tiny_graph: Path, tiny_clips: object, tmp_path: Path) -> None:
    built = tmp_path / "model.cpu.onnx"
    for words in (
        ("doctor",),
        ("--list-models",),
        ("inspect", tiny_graph),
        ("classify", VIDEO, "--model", tiny_graph),
        ("synthesize", tmp_path / "videos", "--count", 3),
        ("evaluate", tiny_graph, "--synthetic", 3),
        ("build-engine", tiny_graph, "-o", built, "--backend", "onnxruntime"),
        ("classify", VIDEO, "--model", built),
        ("package", built, "--triton", tmp_path / "repository"),
    ):
        done = _verb(*words)
        assert done.returncode == 0, (words, done.stderr)


def test_public_names_say_what_they_need() -> None:
    done = _python(
        "import adafuse_deploy\n"
        "for name in adafuse_deploy.__all__:\n"
        "    try: getattr(adafuse_deploy, name)\n"
        "    except adafuse_deploy.MissingDependencyError as error: print(name, error)\n"
    )
    assert done.returncode == 0, done.stderr
    needing = {line.split()[0] for line in done.stdout.splitlines()}
    assert needing == {"export", "load_model", "load_official"}
    assert done.stdout.count("pip install 'adafuse-deploy[export]'") == len(needing)


@pytest.mark.parametrize("call", [f"load_engine({str(SHIPPED)!r})", "create_model('tsm_resnet18')"])
def test_calls_that_need_pytorch(call: str) -> None:
    done = _python(
        f"import adafuse_deploy\ntry: adafuse_deploy.{call}\nexcept ImportError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    assert done.stdout.startswith("MissingDependencyError PyTorch is not installed"), done.stderr
    assert issubclass(adafuse_deploy.MissingDependencyError, ImportError)

"""Models from repositories on Hugging Face, out of a folder like its cache, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH
from adafuse_deploy.core.hub import is_cached, local_file

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with owner/one, which has a graph, and owner/two, which has two."""
    for name, files in {
        "one": {"clip.onnx": SHIPPED_GRAPH},
        "two": {"clip.onnx": SHIPPED_GRAPH, "stream/it.onnx": SHIPPED_STREAM_GRAPH},
        "none": {"README.md": SAMPLE_VIDEO},
    }.items():
        folder = tmp_path / "hub" / f"models--owner--{name}"
        snapshot = folder / "snapshots" / REVISION
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(REVISION)
        (folder / "blobs").mkdir()
        for number, (file, source) in enumerate(files.items()):
            shutil.copy(source, folder / "blobs" / str(number))
            (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / file).symlink_to(folder / "blobs" / str(number))
    return tmp_path / "hub"


def classify(cache: Path, model: object, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the verb in a process of its own: the client reads its settings when it is imported."""
    command = [sys.executable, "-m", "adafuse_deploy", "classify", SAMPLE_VIDEO, "--model", model]
    settings = {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [*map(str, command), *words],
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
        cwd=cache,
    )


@pytest.mark.parametrize(
    "name", ["owner/one", "hf:owner/one", f"owner/one@{REVISION}", "hf:owner/two/clip.onnx@main"]
)
def test_found(name: str, cache: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra [hub] is not installed")
    done = classify(cache, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:3] == ["moving", "left"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("owner/two", "(clip.onnx, stream/it.onnx); say which: hf:owner/two/FILE"),
        ("owner/none", "has no file *.onnx or *.safetensors"),
        ("hf:owner/two/other.onnx", "has no file other.onnx"),
        ("hf:owner/two/README.md", "is none of the files that fit here"),
        ("owner/absent", "There is no file owner/absent here, and Hugging Face gave no repository"),
        ("owner/one@v9", "There is no file owner/one@v9 here"),
    ],
)
def test_refused(name: str, said: str, cache: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra [hub] is not installed")
    done = classify(cache, name)
    assert done.returncode == 1, done.stderr
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_files_here_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a file, there or not, is looked up anywhere."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    for name in ("a/b.onnx", "a/b.pth.tar", "owner/new", "/tmp/one", "../x/y", "plain", "a/b/c"):
        assert local_file(name, (".onnx",)) == Path(name)


def test_without_the_client(tmp_path: Path) -> None:
    program = "import sys; sys.modules['huggingface_hub'] = None; import adafuse_deploy\n"
    program += "try: adafuse_deploy.load_engine('owner/name')\n"
    program += "except adafuse_deploy.MissingDependencyError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'adafuse-deploy[hub]'" in done.stdout, done.stderr


def test_nothing_is_written_into_the_cache(cache: Path) -> None:
    assert is_cached(cache / "models--owner--one" / "snapshots" / REVISION / "clip.onnx")
    assert not is_cached(Path("runs/snapshots/model.pt"))

"""The C functions, from ctypes and from an example in C, against Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import adafuse_deploy
from adafuse_deploy.core.errors import AdaFuseError
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.ops.library import ENVIRONMENT_VARIABLE

PROGRAM = Path(__file__).with_name("c_abi.py")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def by_ctypes(prefix: Path) -> Run:
    """Run :mod:`tests.native.c_abi` on the installed library."""
    (library,) = prefix.glob("lib*/**/libadafuse_runtime.so")
    environment = {k: v for k, v in os.environ.items() if k != ENVIRONMENT_VARIABLE}
    environment["LIBRARY"] = str(library)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, PROGRAM, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("form", ["tiny_graph", "stream_graph"])
def test_ctypes_equals_python(
    form: str,
    by_ctypes: Run,
    tiny_clips: np.ndarray,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    graph = request.getfixturevalue(form)
    np.save(tmp_path / "clips.npy", tiny_clips)
    result = by_ctypes(graph, tmp_path / "clips.npy", tmp_path / "answers.npz")
    assert result.returncode == 0, result.stdout + result.stderr
    got = np.load(tmp_path / "answers.npz")
    with adafuse_deploy.load_engine(graph) as engine:
        expected = engine.run(tiny_clips)
        config = engine.metadata.config
        assert got["name"] == engine.name
        assert got["version"] == adafuse_deploy.__version__
        assert tuple(got["labels"]) == config.class_names
        np.testing.assert_allclose(got["logits"], expected.logits, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got["frame_logits"], expected.frame_logits, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got["probabilities"], expected.probabilities, rtol=1e-5)
        np.testing.assert_array_equal(got["macs"], expected.macs)
        for gate, policy in enumerate(expected.policies):
            np.testing.assert_array_equal(got[f"policy_{gate}"], policy)
        if form == "stream_graph":
            with engine.stream() as stream:
                for i, frame in enumerate(tiny_clips[0]):
                    logits = stream.push(frame).logits
                    np.testing.assert_allclose(got[f"first_{i}"], logits, rtol=1e-5, atol=1e-6)
                    np.testing.assert_array_equal(got[f"again_{i}"], got[f"first_{i}"])


def test_failures_are_a_status_and_a_sentence(
    by_ctypes: Run, tiny_graph: Path, tiny_clips: np.ndarray, tmp_path: Path
) -> None:
    """No exception leaves the library, whatever the graph or the values."""
    graph = tmp_path / "bad.onnx"
    data = tiny_graph.read_bytes()
    tiny_clips[0, 0, 0, 0, 0] = np.nan
    np.save(tmp_path / "nan.npy", tiny_clips)
    for content in (None, data.replace(b'"schema":1', b'"schema":7'), data):
        if content is not None:
            graph.write_bytes(content)
        with pytest.raises(AdaFuseError) as error, adafuse_deploy.load_engine(graph) as engine:
            engine.run(tiny_clips)
        result = by_ctypes(graph, tmp_path / "nan.npy", tmp_path / "answers.npz")
        assert result.stderr == f"{error.value.exit_code} {error.value}\n"


def test_arguments_that_are_null(prefix: Path) -> None:
    (library,) = prefix.glob("lib*/**/libadafuse_runtime.so")
    program = (
        "import ctypes, sys\n"
        f"library = ctypes.CDLL({str(library)!r})\n"
        "library.adafuse_error.restype = ctypes.c_char_p\n"
        "assert library.adafuse_error() == b''\n"
        "out = ctypes.c_void_p(1)\n"
        "for call, arguments, name in (\n"
        "    (library.adafuse_engine_load, (None, None, ctypes.byref(out)), b'path'),\n"
        "    (library.adafuse_engine_load, (b'x', None, None), b'engine'),\n"
        "    (library.adafuse_run, (None, None, 1, ctypes.byref(out)), b'clips'),\n"
        "    (library.adafuse_stream_open, (None, None, ctypes.byref(out)), b'engine'),\n"
        "    (library.adafuse_stream_push, (None, None, None), b'prediction'),\n"
        "    (library.adafuse_stream_reset, (None, 0), b'stream'),\n"
        "    (library.adafuse_center_indices, (1, 1, None), b'indices'),\n"
        "):\n"
        "    assert call(*arguments) == 1, name\n"
        "    said = library.adafuse_error()\n"
        "    assert said == b'The argument ' + name + b' is NULL: give one.', said\n"
        "assert out.value is None\n"
        "size = ctypes.byref(ctypes.c_size_t(0))\n"
        "assert library.adafuse_engine_load(b'x', size, ctypes.byref(out)) == 1\n"
        "assert b'begin with their size' in library.adafuse_error()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_example_in_c(prefix: Path, tiny_graph: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(4).integers(0, 256, (11, 40, 50, 3), np.uint8)
    program = prefix / "bin" / "adafuse_c"
    result = subprocess.run(
        [program, tiny_graph, "50", "40"], input=frames.tobytes(), capture_output=True
    )
    assert result.returncode == 0, result.stderr
    with adafuse_deploy.load_engine(tiny_graph) as engine:
        config = engine.metadata.config
        clip = frames[center_indices(len(frames), config.num_segments)]
        expected = engine.run(preprocess(clip, config.preprocessing)[None])
    best = int(expected.top(1)[0, 0])
    label, share = config.class_names[best], expected.probabilities[0, best]
    assert result.stdout.decode() == f"{label} {share:.3f}, {expected.macs[0]} MACs\n"
    refused = subprocess.run([program, tmp_path / "no.onnx", "50", "40"], capture_output=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"Error: ") and refused.stderr.count(b"\n") == 1


def test_the_static_library_makes_a_program(prefix: Path, tiny_graph: Path, tmp_path: Path) -> None:
    """In C, linked by C++, with the operator library beside it."""
    (folder,) = prefix.glob("lib*/**/pkgconfig")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
    asked = ["pkg-config", "--cflags", "--libs", "--static", "adafuse"]
    flags = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    words = flags.stdout.replace("-ladafuse_runtime", "-l:libadafuse_runtime.a").split()
    source = prefix / "share" / "adafuse" / "examples" / "adafuse_c.c"
    program = folder.parent / "static_program"
    link = f"-Wl,-rpath,{folder.parent}"
    subprocess.run([os.environ.get("CC", "cc"), source, *words, link, "-o", program], check=True)
    needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    assert "libadafuse_runtime" not in needed.stdout
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    result = subprocess.run(
        [program, tiny_graph, "8", "8"], input=frames.tobytes(), capture_output=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith(b" MACs\n")

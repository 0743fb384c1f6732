"""The C++ runtime, installed and used from a project of its own, against Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import pytest

import adafuse_deploy
from adafuse_deploy.core.errors import AdaFuseError, IncompatibleArtifactError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.engines.onnxruntime_engine import clips_at_once
from adafuse_deploy.ops.library import ENVIRONMENT_VARIABLE
from tests.native.support import BUILD, EXAMPLES, cmake
from tests.support import assert_same, run_cli

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Run an example that was built from installed sources against the installed package alone."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(prefix / "share" / "adafuse" / "examples", folder / "examples")
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"]
    cmake("-S", folder / "examples", "-B", folder / "build", "-G", "Ninja", *options)
    cmake("--build", folder / "build")

    def run(
        name: str, *arguments: object, stdout: IO[str] | int = subprocess.PIPE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if k != ENVIRONMENT_VARIABLE}
        return subprocess.run(
            [folder / "build" / name, *map(str, arguments)],
            env={**inherited, **environment},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def fused_graph(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fused = tmp_path_factory.mktemp("fused") / "tiny.cpu.onnx"
    assert run_cli("build-engine", tiny_graph, "-o", fused, "--backend", "onnxruntime") == 0
    return fused


def cpp_prediction(program: Program, graph: Path, clips: np.ndarray, folder: Path) -> Prediction:
    """What ``adafuse_run`` writes and prints."""
    np.save(folder / "clips.npy", clips)
    result = program("adafuse_run", graph, folder / "clips.npy", folder / "logits.npy", folder)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line.rpartition(": ")[2].split(", ") for line in result.stdout.splitlines()]
    logits = np.load(folder / "logits.npy")
    policies = [
        np.load(folder / f"policy_{i}.npy") for i in range(len(list(folder.glob("policy_*"))))
    ]
    macs = np.array([int(line[1].removesuffix(" MACs")) for line in lines])
    config = adafuse_deploy.load_engine(graph).metadata.config
    assert [line[0] for line in lines] == [config.class_names[i] for i in logits.argmax(1)]
    return Prediction(logits, np.load(folder / "frame_logits.npy"), policies, macs)


@pytest.mark.parametrize("form", ["tiny_graph", "fused_graph", "stream_graph"])
def test_clips_equal_python(
    form: str,
    program: Program,
    tiny_clips: np.ndarray,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    graph = request.getfixturevalue(form)
    got = cpp_prediction(program, graph, tiny_clips, tmp_path)
    with adafuse_deploy.load_engine(graph) as engine:
        expected = engine.run(tiny_clips)
    assert_same(got, expected)
    assert len({policy.tobytes() for policy in got.policies[0]}) > 1


def test_clips_take_turns(
    program: Program, fused_graph: Path, tiny_clips: np.ndarray, tmp_path: Path
) -> None:
    """More small clips than a fused graph runs together."""
    with adafuse_deploy.load_engine(fused_graph) as engine:
        count = clips_at_once(engine.metadata) + 3
        clips = np.concatenate([tiny_clips] * count)[:count]
        expected = engine.run(clips)
    assert_same(cpp_prediction(program, fused_graph, clips, tmp_path), expected)


@pytest.mark.parametrize("shape", [(240, 320), (300, 120), (20, 9)])
def test_preprocessing_equals_python_in_every_bit(
    shape: tuple[int, int], program: Program, tiny_graph: Path, tmp_path: Path
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    np.save(tmp_path / "frame.npy", frame)
    result = program("adafuse_preprocess", tiny_graph, tmp_path / "frame.npy", tmp_path / "o.npy")
    assert result.returncode == 0, result.stdout + result.stderr
    config = adafuse_deploy.load_engine(tiny_graph).metadata.config
    expected = preprocess(frame[None], config.preprocessing)[0]
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), expected)


def engine_test(*arguments: object) -> None:
    test = BUILD / "runtime" / "tests" / "test_runtime_engine"
    command = [str(part) for part in (test, *arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.usefixtures("prefix")
def test_threads_resets_and_batches(stream_graph: Path) -> None:
    engine_test(stream_graph)


@pytest.mark.usefixtures("prefix")
def test_engines_have_the_names_of_python(tiny_graph: Path) -> None:
    names = []
    for library in (True, False):
        with adafuse_deploy.load_engine(tiny_graph, operator_library=library) as engine:
            names.append(engine.name)
    engine_test(tiny_graph, *names)


def test_installed_examples_run(prefix: Path, tiny_graph: Path, tmp_path: Path) -> None:
    """From where they are installed, without a search path, on a video as Python sees it."""
    frames = np.random.default_rng(4).integers(0, 256, (11, 40, 50, 3), np.uint8)
    frames.tofile(tmp_path / "video.rgb")
    for name in EXAMPLES:
        usage = subprocess.run([prefix / "bin" / name], capture_output=True, text=True, check=False)
        assert usage.returncode == 2 and usage.stderr.startswith("usage:"), usage.stderr
    command = [prefix / "bin" / "adafuse_classify", tiny_graph, tmp_path / "video.rgb", "50x40"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    with adafuse_deploy.load_engine(tiny_graph) as engine:
        config = engine.metadata.config
        clip = frames[center_indices(len(frames), config.num_segments)]
        expected = engine.run(preprocess(clip, config.preprocessing)[None])
        name = engine.name
    best = expected.top(5)[0]
    *lines, last = result.stdout.splitlines()
    assert lines == [f"{config.class_names[k]}\t{expected.probabilities[0, k]:.3f}" for k in best]
    assert last == f"11 frames, {expected.macs[0]} MACs, {name}"


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is not installed")
def test_pkg_config_builds_a_consumer(prefix: Path, tmp_path: Path) -> None:
    source = tmp_path / "consumer.cpp"
    source.write_text(
        "#include <adafuse/engine.hpp>\n#include <cstdio>\n"
        'int main() { std::printf("%d", int(adafuse::center_indices(9, 4)[3])); }\n'
    )
    (folder,) = prefix.glob("lib*/**/pkgconfig")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
    asked = ["pkg-config", "--cflags", "--libs", "adafuse"]
    flags = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    compiler = os.environ.get("CXX", "c++")
    program = tmp_path / "consumer"
    subprocess.run(
        [compiler, "-std=c++17", source, *flags.stdout.split(), "-o", program], check=True
    )
    environment["LD_LIBRARY_PATH"] = str(folder.parent)
    result = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "7"
    version = subprocess.run(
        ["pkg-config", "--modversion", "adafuse"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.strip() == adafuse_deploy.__version__


def python_lines(graph: Path, frames: np.ndarray) -> list[str]:
    """What ``adafuse_stream`` should print for the frames, uint8 (T, H, W, 3)."""
    with adafuse_deploy.load_engine(graph) as engine, engine.stream() as stream:
        config = engine.metadata.config
        steps = [stream.push(frame) for frame in preprocess(frames, config.preprocessing)]
    best = [int(step.top(1)[0, 0]) for step in steps]
    return [
        f"{i}\t{config.class_names[k]}\t{steps[i].probabilities[0, k]:.3f}"
        for i, k in enumerate(best)
    ]


def test_raw_video_equals_python(program: Program, stream_graph: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (7, 40, 50, 3), np.uint8)
    frames.tofile(tmp_path / "video.rgb")
    result = program("adafuse_stream", stream_graph, tmp_path / "video.rgb", "50x40")
    assert result.returncode == 0, result.stdout + result.stderr
    *lines, last = result.stdout.splitlines()
    assert lines == python_lines(stream_graph, frames)
    assert last.startswith("7 frames, ") and last.endswith(" fps")


def test_grey_y4m_equals_python(program: Program, stream_graph: Path, tmp_path: Path) -> None:
    """Greys have one value in every conversion: Y 16 to 235 is RGB 0 to 255."""
    luma = np.random.default_rng(1).choice(np.array([16, 235], np.uint8), (5, 41, 51))
    frames = np.repeat(np.where(luma == 16, 0, 255).astype(np.uint8)[..., None], 3, -1)
    chroma = np.full((2, 21, 26), 128, np.uint8).tobytes()
    video = b"YUV4MPEG2 W51 H41 F25:1 Ip C420jpeg\n"
    video += b"".join(b"FRAME\n" + image.tobytes() + chroma for image in luma)
    (tmp_path / "video.y4m").write_bytes(video)
    result = program("adafuse_stream", stream_graph, tmp_path / "video.y4m")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[:-1] == python_lines(stream_graph, frames)
    (tmp_path / "video.y4m").write_bytes(video[:-1])
    result = program("adafuse_stream", stream_graph, tmp_path / "video.y4m")
    assert "ends within a frame" in result.stderr
    assert result.returncode == 1


def damage_nothing(path: Path, graph: Path) -> None:
    """Leave the path without a file."""


def damage_metadata(path: Path, graph: Path) -> None:
    model = onnx.load(graph)
    del model.metadata_props[:]
    onnx.save(model, path)


def damage_schema(path: Path, graph: Path) -> None:
    data = graph.read_bytes()
    assert data.count(b'"schema":1') == 1
    path.write_bytes(data.replace(b'"schema":1', b'"schema":7'))


def damage_value(path: Path, graph: Path) -> None:
    path.write_bytes(graph.read_bytes().replace(b'"mode":"clip"', b'"mode":"slip"'))


def damage_field(path: Path, graph: Path) -> None:
    path.write_bytes(graph.read_bytes().replace(b'"shift_div"', b'"sh1ft_div"'))


@pytest.mark.parametrize(
    "damage", [damage_nothing, damage_metadata, damage_schema, damage_value, damage_field]
)
def test_errors_are_the_sentences_of_python(
    damage: Callable[[Path, Path], None], program: Program, tiny_graph: Path, tmp_path: Path
) -> None:
    graph = tmp_path / "bad.onnx"
    damage(graph, tiny_graph)
    with pytest.raises(AdaFuseError) as error:
        adafuse_deploy.load_engine(graph)
    result = program("adafuse_run", graph, "in.npy", tmp_path / "out.npy")
    assert result.stderr == f"Error: {error.value}\n"
    assert result.returncode == error.value.exit_code
    assert not (tmp_path / "out.npy").exists()


def test_truncated_graph_is_refused(program: Program, tiny_graph: Path, tmp_path: Path) -> None:
    graph = tmp_path / "bad.onnx"
    graph.write_bytes(tiny_graph.read_bytes()[:-100])
    result = program("adafuse_run", graph, "in.npy", "out.npy")
    assert f"{graph} is not a readable ONNX file" in result.stderr
    assert result.returncode == 1


def test_a_graph_that_contradicts_itself_is_refused(
    program: Program, fused_graph: Path, tiny_clips: np.ndarray, tmp_path: Path
) -> None:
    """Noticed when it runs; in Python and C++ by the same sentence."""
    model = onnx.load(fused_graph)
    node = next(n for n in model.graph.node if n.op_type == "ConditionalBasicBlock")
    (frames,) = (entry for entry in node.attribute if entry.name == "frames")
    frames.i = 5
    onnx.save(model, tmp_path / "bad.onnx")
    refused = pytest.raises(IncompatibleArtifactError, match="must hold clips of 5 frames")
    with adafuse_deploy.load_engine(tmp_path / "bad.onnx") as engine, refused:
        engine.run(tiny_clips)
    np.save(tmp_path / "in.npy", tiny_clips)
    result = program(
        "adafuse_run", tmp_path / "bad.onnx", tmp_path / "in.npy", tmp_path / "out.npy"
    )
    assert result.returncode == 4
    assert "Error: ONNX Runtime stopped while it ran" in result.stderr
    assert "must hold clips of 5 frames" in result.stderr


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ('"num_classes":5', '"num_classes":6', "logits of shape (1, 5)"),
        ('"stop":', '"stop":99', "cost table does not fit"),
        ('"gates":["', '"gates":["none","', "policy_05"),
    ],
)
def test_metadata_of_another_graph_is_refused(
    good: str, bad: str, message: str, program: Program, tiny_graph: Path, tmp_path: Path
) -> None:
    """What the record says of the graph's results is not believed."""
    model = onnx.load(tiny_graph)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "adafuse")
    text = entry.value.replace('["left","right","up","down","still"]', "[]")
    assert good in text
    entry.value = text.replace(good, bad)
    onnx.save(model, tmp_path / "bad.onnx")
    np.save(tmp_path / "in.npy", np.zeros((1, 4, 3, 32, 32), np.float32))
    result = program(
        "adafuse_run", tmp_path / "bad.onnx", tmp_path / "in.npy", tmp_path / "out.npy"
    )
    assert result.returncode in (1, 4), result.stderr
    assert message in result.stderr


def test_absent_operator_library_is_named(
    program: Program, tiny_graph: Path, tmp_path: Path
) -> None:
    absent = {ENVIRONMENT_VARIABLE: str(tmp_path / "absent.so")}
    result = program("adafuse_run", tiny_graph, "in.npy", "out.npy", **absent)
    assert f"absent.so, named by {ENVIRONMENT_VARIABLE}, is not a file" in result.stderr
    assert result.returncode == 3


def test_text_that_cannot_be_printed(
    program: Program, tiny_graph: Path, tiny_clips: np.ndarray, tmp_path: Path, full_device: Path
) -> None:
    np.save(tmp_path / "in.npy", tiny_clips)
    with full_device.open("w") as file:
        files = (tmp_path / "in.npy", tmp_path / "out.npy")
        result = program("adafuse_run", tiny_graph, *files, stdout=file)
    assert result.stderr == "Error: Cannot write to standard output: No space left on device.\n"
    assert result.returncode == 1
    assert len(np.load(tmp_path / "out.npy")) == len(tiny_clips)


def test_wrong_shape_is_refused(program: Program, tiny_graph: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((1, 3, 3, 32, 32), np.float32))
    result = program("adafuse_run", tiny_graph, tmp_path / "in.npy", tmp_path / "out.npy")
    expected = "Clips must have shape float32 (B, 4, 3, 32, 32), not (1, 3, 3, 32, 32);"
    assert expected in result.stderr
    assert result.returncode == 1


def test_clip_graphs_take_no_streams(program: Program, tiny_graph: Path) -> None:
    result = program("adafuse_stream", tiny_graph, "-", "32x32")
    assert "make a graph with 'adafuse-deploy export CHECKPOINT --mode stream'" in result.stderr
    assert result.returncode == 1

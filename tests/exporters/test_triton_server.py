"""Model repositories for Triton Inference Server: its schema, and what its batcher does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format as protobuf_text
from tritonclient.grpc import model_config_pb2

import adafuse_deploy
from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED, SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata, StateTensor
from adafuse_deploy.data.synthetic import CLASS_NAMES
from adafuse_deploy.engines import plugin_library
from adafuse_deploy.engines.plugin_library import describe
from adafuse_deploy.engines.sidecar import BatchProfile
from adafuse_deploy.exporters.triton_server.model_config import model_config
from adafuse_deploy.exporters.triton_server.text_format import text_format
from adafuse_deploy.graph.read import read_metadata
from adafuse_deploy.ops import library
from tests.exporters.triton_replay import Refused, Request, SequenceBatcher, Server, read_config
from tests.nvidia import write_engine
from tests.support import run_cli

METADATA = read_metadata(SHIPPED_GRAPH)


def package(model: Path, repository: Path, *options: object) -> Path:
    """Package a model where the replay finds its library; return its folder."""
    words = ("--triton", repository, "--mounted-at", repository, "--name", "m", *options)
    assert run_cli("package", model, *words) == 0
    return repository / "m"


@pytest.fixture(scope="module", params=["as exported", "fused"])
def streams(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network for streams, packaged for three streams, two of them at a time."""
    folder = tmp_path_factory.mktemp("repository")
    graph = SHIPPED_STREAM_GRAPH
    if request.param == "fused":
        graph = folder / "fused.onnx"
        assert run_cli("build-engine", SHIPPED_STREAM_GRAPH, "-o", graph) == 0
    return package(graph, folder / "models", "--max-streams", 3, "--max-batch", 2)


@pytest.fixture(scope="module")
def videos() -> np.ndarray:
    """Six streams of four frames, float32 (6, 4, 1, 3, 64, 64)."""
    return np.random.default_rng(0).standard_normal((6, 4, 1, 3, 64, 64), np.float32)


@pytest.fixture(scope="module")
def expected(streams: Path, videos: np.ndarray) -> np.ndarray:
    """The logits of each frame in a stream of its own, float32 (6, 4, K)."""
    with adafuse_deploy.load_engine(streams / "1" / "model.onnx", threads=1) as engine:
        return np.array([_alone(engine, frames) for frames in videos])


def _alone(engine: adafuse_deploy.Engine, frames: np.ndarray) -> list[np.ndarray]:
    with engine.stream() as stream:
        return [stream.push(frame).frame_logits[0, 0] for frame in frames]


def _logits(answers: list[dict[str, np.ndarray]]) -> np.ndarray:
    return np.concatenate([answer["logits"] for answer in answers])


def test_interleaved_streams_do_not_see_each_other(
    streams: Path, videos: np.ndarray, expected: np.ndarray
) -> None:
    """Six streams for three slots, in batches of up to two, bit by bit as if each were alone."""
    batcher = SequenceBatcher(streams)
    for first in (0, 3):  # the second three find slots that others left
        for step in range(4):
            order = np.random.default_rng(step).permutation(3) + first
            requests = [
                Request(100 + number, videos[number, step], step == 0, step == 3)
                for number in order
            ]
            np.testing.assert_array_equal(_logits(batcher.serve(requests)), expected[order, step])
    assert batcher.batch_sizes == [2, 1] * 8
    assert not np.array_equal(expected[0, 1], _fresh(streams, videos[0, 1]))  # state matters


def _fresh(streams: Path, frame: np.ndarray) -> np.ndarray:
    (answer,) = SequenceBatcher(streams).serve([Request(1, frame, start=True)])
    return answer["logits"][0]


def test_more_streams_than_slots_wait(
    streams: Path, videos: np.ndarray, expected: np.ndarray
) -> None:
    """Whole streams at once: the fourth begins in the slot of the first that ended."""
    requests = [
        Request(number, videos[number, step], step == 0, step == 3)
        for step in range(4)
        for number in range(1, 6)
    ]
    answers = SequenceBatcher(streams).serve(requests)
    wanted = np.concatenate([expected[1:6, step] for step in range(4)])
    np.testing.assert_array_equal(_logits(answers), wanted)


def test_restarts_and_evictions(streams: Path, videos: np.ndarray, expected: np.ndarray) -> None:
    batcher = SequenceBatcher(streams)

    def push(video: int, step: int, *, sequence: int, start: bool = False) -> np.ndarray:
        return batcher.serve([Request(sequence, videos[video, step], start)])[0]["logits"][0]

    np.testing.assert_array_equal(push(0, 0, sequence=7, start=True), expected[0, 0])
    np.testing.assert_array_equal(push(1, 0, sequence=8, start=True), expected[1, 0])
    np.testing.assert_array_equal(push(0, 1, sequence=7), expected[0, 1])
    np.testing.assert_array_equal(push(2, 0, sequence=7, start=True), expected[2, 0])  # restarted
    np.testing.assert_array_equal(push(1, 1, sequence=8), expected[1, 1])
    np.testing.assert_array_equal(push(2, 1, sequence=7), expected[2, 1])
    batcher.evict(8)
    with pytest.raises(Refused, match="START"):
        push(1, 2, sequence=8)
    np.testing.assert_array_equal(push(3, 0, sequence=9, start=True), expected[3, 0])
    np.testing.assert_array_equal(push(2, 2, sequence=7), expected[2, 2])
    np.testing.assert_array_equal(push(4, 0, sequence=8, start=True), expected[4, 0])
    np.testing.assert_array_equal(push(3, 1, sequence=9), expected[3, 1])


def test_padding_between_streams_is_harmless(
    streams: Path, videos: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    """With fixed places, streams that have no frame are filled in with anything."""
    wide = package(streams / "1" / "model.onnx", tmp_path / "models", "--max-batch", 3)
    batcher = SequenceBatcher(wide, direct=True)
    batches = [
        [(0, 0), (1, 0), (2, 0)],  # (video, step), each video in the place of its number
        [(2, 1)],
        [(0, 1), (2, 2)],
        [(1, 1)],
        [(1, 2), (2, 3)],
    ]
    for batch in batches:
        requests = [Request(9 + n, videos[n, step], start=step == 0) for n, step in batch]
        wanted = [expected[n, step] for n, step in batch]
        np.testing.assert_array_equal(_logits(batcher.serve(requests)), wanted)
    assert batcher.batch_sizes == [3, 3, 3, 2, 3]


def test_clips(tmp_path: Path) -> None:
    folder = package(SHIPPED_GRAPH, tmp_path / "models", "--threads", 3)
    config = read_config(folder)
    assert (config.name, config.backend, config.max_batch_size) == ("m", "onnxruntime", 8)
    assert config.HasField("dynamic_batching") and not config.HasField("sequence_batching")
    assert [list(entry.dims) for entry in config.input] == [[8, 3, 64, 64]]
    assert [list(entry.dims) for entry in config.output][:3] == [[12], [8, 12], [8, 8]]
    assert config.parameters["intra_op_thread_count"].string_value == "3"
    assert config.output[0].label_filename == "labels.txt"
    assert (folder / "labels.txt").read_text().splitlines() == list(CLASS_NAMES)
    recorded = {"adafuse": config.parameters["adafuse"].string_value}
    assert GraphMetadata.from_props(recorded, "") == read_metadata(SHIPPED_GRAPH)
    page = (folder / "README.md").read_text()
    assert f"--model-repository={tmp_path / 'models'}" in page and "up to 8 clips" in page


@pytest.mark.parametrize("graph", [SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH], ids=["clips", "streams"])
def test_the_client_over_the_wire(graph: Path, tmp_path: Path) -> None:
    """The packaged example, in a process of its own, speaks Triton's protocol."""
    folder = package(graph, tmp_path / "models")
    with Server(folder) as server:
        done = subprocess.run(
            [sys.executable, folder / "client.py", SAMPLE_VIDEO, "--url", server.url],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "moving left" in done.stdout.splitlines()[0]
        if graph == SHIPPED_STREAM_GRAPH:
            assert server.sequences == [(True, False)] + 6 * [(False, False)] + [(False, True)]


@pytest.mark.parametrize("plugins", [None, "beside", "embedded"])
def test_engines(
    plugins: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, plugin = tmp_path / "tiny.engine", tmp_path / plugin_library.FILE_NAME
    plugin.write_bytes(b"plugins")
    monkeypatch.setenv(plugin_library.ENVIRONMENT_VARIABLE, str(plugin))
    operators = describe(plugin, embedded=plugins == "embedded") if plugins else None
    batch = BatchProfile(1, 2, 6)
    write_engine(engine, b"engine", METADATA, batch=batch, operators=operators)
    folder = package(engine, tmp_path / "models")
    config = read_config(folder)
    assert (config.backend, config.max_batch_size) == ("tensorrt", 6)
    assert (folder / "1" / config.default_model_filename).read_bytes() == b"engine"
    assert (folder / "1" / plugin.name).exists() == (plugins == "beside")
    page = (folder / "README.md").read_text()
    options = {
        None: "--model-repository",
        "beside": f"--backend-config=tensorrt,plugins={folder / '1' / plugin.name}",
        "embedded": "--backend-config=tensorrt,version-compatible=true",
    }
    assert options[plugins] in page and "TensorRT 10" in page and "compute capability 8.6" in page


def test_what_cannot_be_packaged(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository = tmp_path / "models"
    engines = {name: tmp_path / f"{name}.engine" for name in ("rtx", "many", "good", "plugin")}
    write_engine(engines["rtx"], b"engine", METADATA, backend="tensorrt-rtx")
    write_engine(engines["many"], b"engine", METADATA, batch=BatchProfile(2, 2, 4))
    write_engine(engines["good"], b"engine", METADATA)
    other = tmp_path / "other.so"
    other.write_bytes(b"other")
    write_engine(engines["plugin"], b"engine", METADATA, operators=describe(other))
    (tmp_path / "file").write_text("")
    (tmp_path / "broken.onnx").write_bytes(SHIPPED_GRAPH.read_bytes()[:5000])

    def refused(model: Path, said: str, code: int, *options: object, to: Path = repository) -> None:
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert run_cli("package", model, "--triton", to, *options) == code
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1 and "Traceback" not in error, error
        assert sorted(tmp_path.rglob("*")) == before

    refused(SHIPPED, "'adafuse-deploy export' makes a graph", 1)
    refused(tmp_path / "none.onnx", "There is no graph", 1)
    refused(tmp_path / "broken.onnx", "broken.onnx", 1)
    refused(SHIPPED_GRAPH, "is no name for a model", 1, "--name", "a/b")
    refused(SHIPPED_GRAPH, "2147483647 for --max-batch, not 10000000000", 1, "--max-batch", 10**10)
    refused(SHIPPED_GRAPH, "an absolute path such as /models", 1, "--mounted-at", "models")
    refused(SHIPPED_GRAPH, "does not exist", 1, to=tmp_path / "no" / "such" / "place")
    refused(SHIPPED_GRAPH, "is no folder", 1, to=tmp_path / "file" / "models")
    refused(engines["rtx"], "--backend tensorrt'", 4)
    refused(engines["many"], "--min-batch 1", 1)
    refused(engines["good"], "at most 4 clips", 1, "--max-batch", 5)
    monkeypatch.setenv(plugin_library.ENVIRONMENT_VARIABLE, str(tmp_path / "file"))
    refused(engines["plugin"], "was built with the plugin library", 4)
    monkeypatch.setenv(library.ENVIRONMENT_VARIABLE, str(tmp_path / "none.so"))
    refused(SHIPPED_GRAPH, "none.so", 3)
    monkeypatch.delenv(library.ENVIRONMENT_VARIABLE)
    package(SHIPPED_GRAPH, repository, "--no-operator-library")
    assert not read_config(repository / "m").HasField("model_operations")
    refused(SHIPPED_GRAPH, "exists already", 1, "--name", "m")


def test_a_full_disk_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: Path, *arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert run_cli("package", SHIPPED_GRAPH, "--triton", tmp_path / "models") == 1
    assert "No space left on device; free some space" in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_state_that_the_server_would_mix_up_is_refused() -> None:
    metadata = read_metadata(SHIPPED_STREAM_GRAPH)
    states = [StateTensor("b", "x", (1,), "float32"), StateTensor("a", "y", (1,), "float32")]
    mixed = GraphMetadata(metadata.config, metadata.layers, metadata.gates, mode="stream")
    object.__setattr__(mixed, "state", states)
    with pytest.raises(InputError, match="in one order when sorted"):
        model_config("m", mixed, {}, max_batch=1, max_streams=1, parameters={})


def test_text_of_any_kind_survives() -> None:
    name = 'quote " backslash \\ newline \n tab \t é 走 \0'
    text = text_format({"name": name, "max_batch_size": 3, "optimization": {"priority": 1}})
    assert text.isascii()
    parsed = protobuf_text.Parse(text, model_config_pb2.ModelConfig())
    assert (parsed.name, parsed.max_batch_size) == (name, 3)

"""``classify --ray``: the rows of one machine, from a cluster that loses workers and nodes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH
from adafuse_deploy.core.errors import AdaFuseError, IncompatibleArtifactError
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.engines import cluster as clusters
from adafuse_deploy.engines.cluster import EngineOfWorker
from adafuse_deploy.engines.labelling import LabelOptions
from adafuse_deploy.engines.onnxruntime_engine import OnnxRuntimeEngine
from tests.support import run_cli


def worker(**changes: Any) -> EngineOfWorker:
    values = {
        "model": str(SHIPPED_GRAPH),
        "model_sha256": sha256(SHIPPED_GRAPH),
        "operator_library": True,
        "threads": 1,
        "options": LabelOptions(top=2, workers=0),
    }
    return EngineOfWorker(**{**values, **changes})


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand-ins for Ray and for the actor that counts, in this process."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda value: value))
    counted = clusters._Attempts()
    return SimpleNamespace(begin=SimpleNamespace(remote=counted.begin))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_worker_answers_in_the_order_of_its_lot(attempts: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    lot = [[str(SAMPLE_VIDEO), None], [str(tmp_path / "broken.mp4"), None]]
    actor = clusters._Actor(worker(), attempts)
    for order in (lot, lot[::-1]):
        found = json.loads(actor({"lot": json_text(order)})["found"])
        assert [row["path"] for row, _, _ in found] == [path for path, _ in order]
        assert [row["label_1"] for row, _, _ in sorted(found, key=str)].count("moving left") == 1


def test_names_that_are_no_utf_8(attempts: Any, tmp_path: Path) -> None:
    path = shutil.copy(SAMPLE_VIDEO, os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    actor = clusters._Actor(worker(), attempts)
    ((row, _, _),) = json.loads(actor({"lot": json_text([[path, None]])})["found"])
    assert row["path"] == path and row["label_1"] == "moving left"


def test_what_nobody_expected_is_a_sentence(attempts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: object, clips: object) -> None:
        raise RuntimeError("out of paper")

    monkeypatch.setattr(OnnxRuntimeEngine, "run", run)
    lot = json_text([[str(SAMPLE_VIDEO), None]])
    found = json.loads(clusters._Actor(worker(), attempts)({"lot": lot})["found"])
    with pytest.raises(AdaFuseError, match="Unexpected error: RuntimeError: out of paper"):
        clusters._raise(found)


def test_the_cause_in_a_page_of_ray() -> None:
    page = (
        "ray::submit()\n  File ...\nOSError: [Errno 5] Input/output error\n\nThe above exception "
        "was the direct cause of the following exception:\n\nUDF failed.\nTo change attempts, ...\n"
    )
    assert clusters._last_line(RuntimeError(page)) == "OSError: [Errno 5] Input/output error"


def test_a_node_with_another_model_or_version_says_so(attempts: Any) -> None:
    for changes, said in (
        ({"model_sha256": "0" * 64}, "is another file; copy the same model to every node"),
        ({"version": "9.9"}, "not 9.9; install that everywhere"),
    ):
        found = json.loads(clusters._Actor(worker(**changes), attempts)({"lot": "[]"})["found"])
        with pytest.raises(IncompatibleArtifactError, match=said):
            clusters._raise(found)
        assert found["sentence"].startswith(f"On the node {os.uname().nodename}: ")


def test_a_lot_that_ends_its_workers_is_given_up(attempts: Any) -> None:
    actor = clusters._Actor(worker(), attempts)
    lot = {"lot": json_text([[str(SAMPLE_VIDEO), None]])}
    for _ in range(clusters._ATTEMPTS - 1):
        attempts.begin.remote(lot["lot"])  # by workers that did not come back
    assert len(json.loads(actor(lot)["found"])) == 1
    assert actor(lot) == {"found": "[]"}


def test_what_an_engine_takes_of_a_node() -> None:
    assert (worker().cpus, worker().gpus) == (1, 0)
    assert worker(threads=2, options=LabelOptions(workers=3)).cpus == 3
    assert worker(model="model.engine").gpus == 1


def test_without_ray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ("classify", SAMPLE_VIDEO, "--model", SHIPPED_GRAPH, "--ray", "auto")
    assert run_cli(*words, "--output", tmp_path / "t.csv") == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'adafuse-deploy[ray]'" in error
    assert not list(tmp_path.iterdir())
    assert run_cli(*words) == 2
    assert run_cli(*words[:-2], "--output", tmp_path / "t.csv", "--engines", 2) == 2


def test_where_there_is_no_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address where nobody listens, and what Ray says of none."""

    def init(address: str, **options: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    ray = SimpleNamespace(init=init, data=None)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", ray)
    words = ("classify", SAMPLE_VIDEO, "--model", SHIPPED_GRAPH, "--output", tmp_path / "t.csv")
    for address, reason in (("localhost:1", "refused"), ("auto", "Could not find any running")):
        assert run_cli(*words, "--ray", address) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"Error: There is no Ray cluster at {address} (")
        assert reason in error and "ray start --head" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes of one processor each, on this machine."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.second = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def _busy_actors(cluster: Any) -> list[int]:
    """The processes of a cluster's engines that label a lot right now, as Ray titles them."""
    nodes = [cluster.head_node, *cluster.worker_nodes]
    raylets = {node.all_processes["raylet"][0].process.pid for node in nodes}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if title.startswith(b"ray::MapWorker") and b".submit" in title and parent in raylets:
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_a_node_that_is_killed_loses_nothing(two_nodes: Any, tmp_path: Path) -> None:
    """Rows are those of a run without Ray, though work is ended and resumed, and in the middle both
    engines are killed, one with its node.
    """
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(400):
        os.link(shutil.copy(SAMPLE_VIDEO, videos / "0.mp4"), videos / f"{number:03}.mp4")
    (videos / "0.mp4").unlink()
    (videos / "broken.mp4").write_text("no video")
    options = ("--model", str(SHIPPED_GRAPH), "--top", "2")
    expected, table = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    assert run_cli("classify", videos, *options, "--output", expected, "--threads", 1) == 1

    journal = Path(f"{table}.partial")
    command = [sys.executable, "-m", "adafuse_deploy", "classify", "videos", *options]
    command += ["--output", str(table), "--ray", two_nodes.address]

    def start(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, *more], cwd=tmp_path, text=True, stderr=subprocess.PIPE)

    def wait_for(rows: int, process: subprocess.Popen[str]) -> None:
        while not journal.exists() or journal.read_bytes().count(b"\n") <= rows:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)

    process = start()
    wait_for(20, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    kept = journal.read_bytes().count(b"\n") - 1
    assert 20 <= kept < 400 and not table.exists()

    process = start("--resume")
    wait_for(kept + 20, process)
    while len(actors := _busy_actors(two_nodes)) < 2:
        assert process.poll() is None, process.communicate()
    for actor in actors:  # that of the node that stays is made anew
        os.kill(actor, signal.SIGKILL)
    two_nodes.remove_node(two_nodes.second, allow_graceful=False)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    assert "1 of 401 videos could not be labelled" in told and "Traceback" not in told
    named = [row | {"path": str(tmp_path / row["path"])} for row in rows_of(table)]
    for row in named:
        row["error"] = row["error"] and row["error"].replace("videos/", f"{videos}/")
    assert named == rows_of(expected)
    assert not journal.exists()

"""The operator library's recorder from Python."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from adafuse_deploy import load_engine
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.ops.recorder import NODE, Recorder
from adafuse_deploy.profiling.peak import peak_gmacs


def test_what_runs_meanwhile_is_recorded(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    with load_engine(tiny_graph, threads=1) as engine, Recorder() as recorder:
        expected = engine.run(tiny_clips)
        with recorder.running():
            pass
        assert not len(recorder.read().records)
        with recorder.running():
            got = engine.run(tiny_clips)
        engine.run(tiny_clips)
        recording = recorder.read()
    np.testing.assert_array_equal(got.logits, expected.logits)
    nodes = recording.records[recording.records["span"] == NODE]
    assert recording.lost == 0 and len(nodes) == len(recording.names) == 10  # two a block
    assert all("conv" in name for name in recording.names)
    assert (recording.records["begin"] <= recording.records["end"]).all()


def test_there_is_room_for_so_many(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    with load_engine(tiny_graph, threads=1) as engine, Recorder(capacity=7) as recorder:
        for _ in range(2):
            with recorder.running():
                engine.run(tiny_clips)
            recording = recorder.read()
            assert len(recording.records) == 7 and recording.lost > 20
        with (
            Recorder() as other,
            recorder.running(),
            pytest.raises(InputError, match="Another profile"),
            other.running(),
        ):
            pass


def test_several_threads_run_and_one_records(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    """Runs that begin while it records are there whole; others are not there."""
    with load_engine(tiny_graph, threads=1) as engine, Recorder() as recorder:
        end = threading.Event()

        def work() -> None:
            while not end.is_set():
                engine.run(tiny_clips)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                with recorder.running():
                    engine.run(tiny_clips)
                records = recorder.read().records
                whole = set(records["run"][records["span"] == NODE].tolist())
                assert len(whole) >= 10 and set(records["run"].tolist()) == whole
        finally:
            end.set()
            for thread in threads:
                thread.join()


def test_peaks() -> None:
    assert peak_gmacs("fp32", 1) > 0.1
    assert peak_gmacs("fp16", 1) == -1  # which there are no kernels for

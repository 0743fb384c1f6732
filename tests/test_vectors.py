"""The answers that the C++ libraries give too: they read the same files of tests/vectors."""

from __future__ import annotations

import base64
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.cost import Layer, MacsCounter, clip_macs
from adafuse_deploy.core.errors import AdaFuseError, IncompatibleArtifactError, InputError
from adafuse_deploy.core.json_text import json_text, parse_json
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.records import schema
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.engines.onnxruntime_engine import clips_at_once
from adafuse_deploy.engines.sidecar import Sidecar, read_sidecar
from adafuse_deploy.engines.stream_consensus import make_consensus
from adafuse_deploy.graph.metadata_props import metadata_props
from tests.vectors import cases, old_records


def named(case: dict[str, Any]) -> str:
    return f"{case['record']}-{'.'.join(map(str, case['path']))}-{case['value']}"[:60]


def changed_record(case: dict[str, Any]) -> Any:
    record = old_records()[case["record"]]
    if not case["path"]:
        return record if case["value"] is None else case["value"]
    *path, last = case["path"]
    place = record
    for key in path:
        place = place[key]
    if case["value"] == "(removed)":
        del place[last]
    else:
        place[last] = case["value"]
    return record


def read(record: Any, kind: str, folder: Path) -> GraphMetadata | Sidecar:
    if kind != "sidecar":
        return GraphMetadata.from_props({"adafuse": json_text(record)}, "model.onnx")
    engine = folder / "model.engine"
    engine.write_bytes(b"")  # whose SHA-256 the record has
    (folder / "model.engine.json").write_text(json_text(record))
    return read_sidecar(engine)


@pytest.mark.parametrize("case", cases("records"), ids=named)
def test_records(case: dict[str, Any], tmp_path: Path) -> None:
    record = changed_record(case)
    if case["outcome"] == "good":
        read(record, case["record"], tmp_path)
        return
    with pytest.raises(AdaFuseError) as error:
        read(record, case["record"], tmp_path)
    assert case["names"] in str(error.value)
    if case["outcome"] == "incompatible":
        assert type(error.value) is IncompatibleArtifactError
        assert "(adafuse-deploy 0.1.0)" in str(error.value)
    elif case["record"] == "sidecar":
        assert type(error.value) is IncompatibleArtifactError
        assert "cannot be read as the sidecar" in str(error.value)
    else:
        assert type(error.value) is InputError
        assert "metadata of model.onnx is damaged (" in str(error.value)


def test_old_records_mean_what_they_meant(tmp_path: Path) -> None:
    records = old_records()
    for kind in ("clip", "fused", "int8", "stream", "dense"):
        metadata = read(records[kind], kind, tmp_path)
        assert isinstance(metadata, GraphMetadata)
        written = {**metadata.to_dict(), "tool_version": "0.1.0"}
        assert json.loads(json_text(written)) == records[kind]
    sidecar = read(records["sidecar"], "sidecar", tmp_path)
    assert isinstance(sidecar, Sidecar)
    assert json.loads(sidecar.to_json()) == records["sidecar"]
    assert sidecar.batch.max == 4 and sidecar.compute_capabilities == ("8.6", "9.0+")


KEYWORDS = {
    *("$schema", "title", "description", "$defs", "$ref", "type", "const", "enum", "minimum"),
    *("maximum", "exclusiveMinimum", "maxLength", "pattern", "items", "minItems", "maxItems"),
    *("properties", "required", "additionalProperties"),
}


def keywords(rules: dict[str, Any]) -> set[str]:
    below = [*rules.get("$defs", {}).values(), *rules.get("properties", {}).values()]
    below += [rules[key] for key in ("items", "additionalProperties") if key in rules]
    return set(rules).union(*(keywords(rule) for rule in below if isinstance(rule, dict)))


def test_schemas_use_what_readers_know() -> None:
    assert keywords(schema("metadata")) | keywords(schema("sidecar")) == KEYWORDS


@pytest.mark.parametrize("case", cases("json"), ids=lambda case: case["text"][:40])
def test_json(case: dict[str, Any]) -> None:
    data = base64.b64decode(case["text"])
    if case["good"]:
        parse_json(data.decode())
    else:
        with pytest.raises(ValueError):
            parse_json(data.decode())


@pytest.mark.parametrize("case", cases("properties"), ids=lambda case: case["file"][:40])
def test_properties(case: dict[str, Any]) -> None:
    file = BytesIO(base64.b64decode(case["file"]))
    if case["properties"] is None:
        with pytest.raises(ValueError):
            metadata_props(file)
    else:
        assert metadata_props(file) == case["properties"]


def test_sampling() -> None:
    for case in cases("sampling"):
        assert center_indices(case["frames"], case["segments"]).tolist() == case["indices"]


def test_macs() -> None:
    for case in cases("macs"):
        layers = [Layer.from_dict(layer) for layer in case["layers"]]
        policies = [np.array(policy, np.uint8) for policy in case["policies"]]
        frames = policies[0].shape[1]
        assert clip_macs(layers, policies, frames).tolist() == case["macs"]
        previous = [np.zeros_like(policy[:, :1]) for policy in policies]
        for t in range(frames):
            now = [policy[:, t : t + 1] for policy in policies]
            got = MacsCounter(layers).next_frames(now, previous)
            assert got.tolist() == [steps[t] for steps in case["stream_macs"]]
            previous = now


def test_consensus() -> None:
    for case in cases("consensus"):
        logits = np.array(case["logits"], np.float32)
        _, streams, classes = logits.shape
        consensus = make_consensus(case["kind"], streams, classes, case["window"], case["decay"])
        for t, frame in enumerate(logits):
            if t == case["reset_stream_1_before"]:
                consensus.reset(1)
            np.testing.assert_allclose(consensus.update(frame), case["expected"][t], rtol=1e-5)


@pytest.mark.parametrize("case", cases("clips_at_once"), ids=str)
def test_clips_at_once(case: dict[str, Any]) -> None:
    record = old_records()["clip"]
    record["precision"] = case["precision"]
    record["portable_name"] = "portable.onnx" if case["fused"] else ""
    record["config"] |= {"num_segments": case["segments"]}
    record["config"]["preprocessing"] |= {"resize": case["side"], "crop": case["side"]}
    metadata = GraphMetadata.from_props({"adafuse": json_text(record)}, "model.onnx")
    assert clips_at_once(metadata) == (sys.maxsize if case["clips"] is None else case["clips"])


def test_preprocessing() -> None:
    for case in cases("preprocessing"):
        settings = Preprocessing(**case["preprocessing"])
        shape = (case["height"], case["width"], 3)
        frame = np.frombuffer(base64.b64decode(case["frame"]), np.uint8).reshape(shape)
        side = settings.crop
        plain = Preprocessing(settings.resize, side, (0, 0, 0), (1, 1, 1), 1.0)
        pixels = np.frombuffer(base64.b64decode(case["pixels"]), np.uint8).reshape(side, side, 3)
        np.testing.assert_array_equal(preprocess(frame[None], plain)[0], pixels.transpose(2, 0, 1))
        normal = preprocess(frame[None], settings)[0]
        np.testing.assert_allclose(normal.sum(dtype=np.float64), case["sum"], rtol=1e-5)

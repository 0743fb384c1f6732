"""The script that counts how often healthy networks are refused."""

from __future__ import annotations

import pytest

from adafuse_deploy.exporters import onnx_exporter
from scripts import random_exports

TINY = {"size": 32, "width": 0.125, "num_segments": 2, "gate_hidden": 8}


@pytest.mark.slow
def test_networks_of_one_shape_share_a_graph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(random_exports, "SHAPES", [("adafuse_tsn_resnet18", "clip", TINY)])
    trace = onnx_exporter._trace
    traced = []

    def count(*arguments: object) -> object:
        traced.append(arguments)
        return trace(*arguments)

    monkeypatch.setattr(onnx_exporter, "_trace", count)
    random_exports.main(["--count", "2"])
    assert len(traced) == 1
    *lines, total = capsys.readouterr().out.splitlines()
    # With the weights of another network the second would be refused.
    assert len(lines) == 2 and not any("REFUSED" in line for line in lines)
    assert total.startswith("2 networks: 0 refused, ")

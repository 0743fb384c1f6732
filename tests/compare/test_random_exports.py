"""The script that counts how often healthy networks are refused."""

from __future__ import annotations

import pytest

from scripts import random_exports

TINY = {"size": 32, "width": 0.125, "num_segments": 2, "gate_hidden": 8}


def test_healthy_networks_are_accepted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(random_exports, "SHAPES", [("adafuse_tsn_resnet18", "clip", TINY)])
    random_exports.main(["--count", "2"])
    *lines, total = capsys.readouterr().out.splitlines()
    # With the weights of another network the second would be refused.
    assert len(lines) == 2 and not any("REFUSED" in line for line in lines)
    assert total.startswith("2 networks: 0 refused, ")

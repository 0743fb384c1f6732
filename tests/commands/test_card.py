"""Model cards: what is known is said, what is not is not claimed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH, SHIPPED_STREAM, SHIPPED_STREAM_GRAPH
from adafuse_deploy.commands.card import UNSTATED
from adafuse_deploy.core.json_text import json_text
from tests.support import run_cli


def _card(path: Path) -> tuple[dict[str, Any], str]:
    _, head, text = path.read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_a_checkpoint_with_its_figures(tmp_path: Path) -> None:
    """Those of the package's own page of its checkpoints."""
    out = tmp_path / "README.md"
    words = ("--license", "apache-2.0", "--name", 'online: "small"')
    assert run_cli("card", SHIPPED_STREAM, "-o", out, *words) == 0
    head, text = _card(out)
    assert head["license"] == "apache-2.0" and head["pipeline_tag"] == "video-classification"
    (model,) = head["model-index"]
    assert model["name"] == 'online: "small"'
    (result,) = model["results"]
    assert result["dataset"]["name"] == "1200 procedural videos of 64 x 64, seed 2"
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values["top-1"] == 99.08 and values["GMACs per clip"] == pytest.approx(0.01342, rel=1e-3)
    assert "| 49.8 % | 1200 |" in text  # of dense
    assert "0.837 | 0.032 | 0.132 |" in text
    assert text.endswith("## Licence\n\napache-2.0\n")
    assert "pip install 'adafuse-deploy[export]'" in text


@pytest.mark.parametrize("graph", [SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH], ids=["clip", "stream"])
def test_a_graph_alone_claims_nothing_and_runs_as_it_says(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    assert run_cli("card", graph) == 0
    (tmp_path / "card.md").write_text(capsys.readouterr().out)
    head, text = _card(tmp_path / "card.md")
    assert "license" not in head and "model-index" not in head and UNSTATED in text
    assert "Accuracy was not measured." in text and "moving left" in text
    (line,) = re.findall("^adafuse-deploy (.*)$", text, re.MULTILINE)
    monkeypatch.chdir(graph.parent)
    words = [str(SAMPLE_VIDEO) if word == "video.mp4" else word for word in shlex.split(line)]
    assert run_cli(*words) == 0


def test_the_figures_of_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, out = tmp_path / "report.json", tmp_path / "card.md"
    assert run_cli("evaluate", SHIPPED_GRAPH, "--synthetic", 12, "--json", report) == 0
    words = ("--evaluation", report, "--measured-on", "12 drawn videos")
    assert run_cli("card", SHIPPED_GRAPH, *words, "-o", out) == 0
    found = json.loads(report.read_text())
    (result,) = _card(out)[0]["model-index"][0]["results"]
    assert result["dataset"]["name"] == "12 drawn videos"
    assert result["metrics"][0]["value"] == pytest.approx(found["top1"], abs=0.01)
    for content, said in (("{}", "is incomplete"), ("[1]", "is incomplete"), ("x", "is no JSON")):
        report.write_text(content)
        assert run_cli("card", SHIPPED_GRAPH, "--evaluation", report, "-o", out) == 1
        assert said in capsys.readouterr().err
    assert run_cli("card", SHIPPED_GRAPH, "--evaluation", tmp_path / "none.json") == 1
    assert "There is no readable file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("top1",), "x", "'top1' is no number"),
        (("gmacs",), None, "'gmacs' is no number"),
        (("overall", "skip"), None, "'skip' is no number"),
        (("gates",), [1], "a gate's shares have no name"),
        (("gates",), 1, "'gates' is no list"),
        (("clips",), ..., "'clips'"),
        ((), [], "it is no record of one"),
    ],
    ids=str,
)
def test_damaged_evaluations(
    place: tuple[str, ...],
    value: Any,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mix = {"name": "all", "skip": 0.2, "reuse": 0.3, "keep": 0.5}
    record: dict[str, Any] = {
        **{name: 1.0 for name in ("clips", "top1", "top5", "gmacs", "dense_gmacs")},
        **{"official_gflops": 1.0, "relative_flops": 1.0, "overall": mix, "gates": [mix]},
    }
    if place:
        inner = record[place[0]] if len(place) == 2 else record
        inner[place[-1]] = value
        if value is ...:
            del inner[place[-1]]
    (tmp_path / "result.json").write_text(json_text(record if place else value))
    assert run_cli("card", SHIPPED_GRAPH, "--evaluation", tmp_path / "result.json") == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "is incomplete" in error

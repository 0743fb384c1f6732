"""Pages of results: every number is the JSON's, hostile names stay text, nothing is fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.data.listed_clips import ListedClips
from adafuse_deploy.engines.loader import load_engine
from tests.report.pages import PageReader, assert_needs_nothing, assert_numbers_are_those_of, read
from tests.support import run_cli

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=https://example.org/x onerror=alert(1)>',
    r"$\frac{1}{$ {{ 7 * 7 }} {% raw %}",
    "\N{CJK UNIFIED IDEOGRAPH-8DF3}\x07\u202e & ' " + "long " * 40,
    "]]> </style></svg><!--",
    *"abcdefg",
)


def _page(folder: Path, *words: object, code: int = 0) -> PageReader:
    """Run a verb; check its page against its JSON."""
    html, values = folder / "page.html", folder / "page.json"
    assert run_cli(*words, "--html", html, "--json", values) == code
    page = read(html)
    assert_needs_nothing(page)
    assert_numbers_are_those_of(page, values)
    assert html.stat().st_size < 3e6
    return page


@pytest.fixture(scope="module")
def hostile_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network, whose classes have names that nobody wants to meet."""
    path = tmp_path_factory.mktemp("hostile") / "<b>&amp;.onnx"
    model = onnx.load(SHIPPED_GRAPH)
    (entry,) = model.metadata_props
    record = json.loads(entry.value)
    record["config"]["class_names"] = list(HOSTILE)
    entry.value = json_text(record)
    onnx.save(model, path)
    return path


def test_an_evaluation(hostile_graph: Path, listing: Path, tmp_path: Path) -> None:
    page = _page(tmp_path, "evaluate", hostile_graph, "--data", listing, "--clips", 2)
    values = json.loads((tmp_path / "page.json").read_text())
    for name in HOSTILE:
        assert name.replace("\x07", "") in page.text.replace("\x07", "")
    assert page.tags.count("img") == 8 * 6  # frames of six videos, of their first views
    with load_engine(hostile_graph) as engine:
        clips = ListedClips(engine.metadata.config, listing)
        policies = [engine.run(clips[index][0][None]).policies for index in range(6)]
    for index, found in enumerate(values["policy_maps"]):
        assert found["video"] == clips.videos[index]
    assert values["top1_interval"][0] <= values["top1"] <= values["top1_interval"][1]
    for name, gate in zip(("keep", "reuse", "skip"), (0, 1, 2), strict=True):
        shares = [
            [[float(np.mean(frame == gate)) for frame in policy[0]] for policy in clip]
            for clip in policies
        ]
        # Two clips a video: the first of them is the middle of the segments.
        np.testing.assert_allclose([f[name] for f in values["policy_maps"]], shares, atol=1e-4)


def test_a_classification(tmp_path: Path) -> None:
    page = _page(tmp_path, "classify", SAMPLE_VIDEO, "--model", SHIPPED_GRAPH)
    assert "moving left, 99.9" in page.text and page.tags.count("img") == 8
    assert "layer1.0" in page.text and "SHA-256" in page.text


def test_many_videos(
    hostile_graph: Path, listing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = _page(tmp_path, "classify", "--data", listing, "--model", hostile_graph)
    assert page.tags.count("img") == 8 * 6 and "6 videos, " in page.text
    folder = tmp_path / "more"
    folder.mkdir()
    for number in range(10):
        video = folder / (f"<i>{number}" if number != 3 else os.fsdecode(b"no UTF-8 \xff"))
        video.mkdir()
        for frame in range(8 if number else 2):
            pixels = np.full((40, 40, 3), 20 * frame, np.uint8)
            Image.fromarray(pixels).save(video / f"{frame:03d}.png")
    table = ("classify", folder, "--model", hostile_graph, "--output", tmp_path / "labels.csv")
    page = _page(tmp_path, *table, "--workers", 0, code=1)
    assert page.tags.count("img") == 8 * 8 and "9 videos labelled" in page.text
    assert "has 2 frames" in page.text
    assert run_cli(*table, "--resume", "--html", tmp_path / "page.html") == 1
    assert "a summary is made together with a table" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("--predict", "sthv1")])
def test_a_profile(words: tuple[str, ...], tmp_path: Path) -> None:
    page = _page(tmp_path, "profile", SHIPPED_GRAPH, SAMPLE_VIDEO, "--rounds", 2, *words)
    assert "layer1.0.conv1" in page.text and "SHA-256" in page.text
    assert ("What other policies would cost" in page.text) == bool(words)


def test_a_timeline(tmp_path: Path) -> None:
    arguments = ("--model", SHIPPED_GRAPH, "--window", 1)
    page = _page(tmp_path, "classify", SAMPLE_VIDEO, *arguments)
    assert "0.00 to 1.00 s" in page.text and page.tags.count("img") == 3 * 8


def test_a_verification_that_fails(hostile_graph: Path, listing: Path, tmp_path: Path) -> None:
    """An engine that was built from other weights: its worst clips are shown."""
    model = onnx.load(SHIPPED_GRAPH)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("conv1.conv.weight") or "layer2" in tensor.name:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.5), tensor.name))
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    words = ("verify", hostile_graph, other, "--data", listing, "--rounds", 2, "--threads", 1)
    page = _page(tmp_path, *words, "--backend", "onnxruntime", code=1)
    values = json.loads((tmp_path / "page.json").read_text())
    worst = values["disagreements"]
    assert len(worst) == 3 and {entry["engine"] for entry in worst} == {
        f"onnxruntime + operator library {other}"
    }
    assert page.tags.count("img") == 8 * (6 + 3) and "failed" in page.text
    with load_engine(SHIPPED_GRAPH) as right, load_engine(other) as wrong:
        clip = ListedClips(right.metadata.config, listing)[worst[0]["clip"]][0][None]
        pairs = zip(right.run(clip).policies, wrong.run(clip).policies, strict=True)
        differing = [np.mean(a != b, 2)[0].tolist() for a, b in pairs]
    assert worst[0]["flips"] == max(entry["flips"] for entry in worst)
    for got, expected in zip(worst[0]["differing"], differing, strict=True):
        assert got == pytest.approx(expected, abs=1e-4)


def test_what_it_is_made_with_may_be_missing(tmp_path: Path) -> None:
    for module in ("jinja2", "matplotlib"):
        words = ["classify", SAMPLE_VIDEO, "--model", SHIPPED_GRAPH, "--html", tmp_path / "x.html"]
        program = (
            f"import sys\nsys.modules[{module!r}] = None\nfrom adafuse_deploy.cli import main\n"
            f"main({[str(word) for word in words]})"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 3 and "pip install 'adafuse-deploy[report]'" in done.stderr
        assert not done.stdout and not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("classify", "none.mp4", "--model", SHIPPED_GRAPH, "--html")
    assert run_cli(*words, tmp_path / "page.txt") == 1
    assert "must end in .html" in capsys.readouterr().err
    assert run_cli(*words, tmp_path / "no" / "page.html") == 1
    assert "there is no folder" in capsys.readouterr().err

"""Pages in a browser: nothing is complained about, nothing is wider than a phone, both themes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH
from tests.support import run_cli

CHROMIUM = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)

pytestmark = pytest.mark.slow


def _chromium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the browser, without a network."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed, so no page was looked at: apt install chromium")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--enable-logging=stderr", "--allow-file-access-from-files"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"]
    return subprocess.run(
        [CHROMIUM, *flags, *words], capture_output=True, text=True, timeout=120, check=True
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pages of three verbs; the network is the shipped one, its accuracy that of noise."""
    folder = tmp_path_factory.mktemp("pages")
    names = [folder / f"{verb}.html" for verb in ("classify", "evaluate", "verify")]
    runs = (
        ("classify", SAMPLE_VIDEO, "--model", SHIPPED_GRAPH),
        ("evaluate", SHIPPED_GRAPH, "--synthetic", 24),
        ("verify", SHIPPED_GRAPH, "--random", 2, "--rounds", 3, "--backend", "onnxruntime"),
    )
    for words, name in zip(runs, names, strict=True):
        assert run_cli(*words, "--html", name) == 0
    return names


def _frame(page: Path, width: int, script: str = "") -> str:
    """Return a page that shows another in a frame of a width, which windows may not have."""
    return (
        '<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0">'
        f'<iframe src="{page.as_uri()}" style="border:0;width:{width}px;height:3000px"></iframe>'
        f"{script}"
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_nothing_is_complained_about(
    pages: list[Path], width: int, tmp_path: Path
) -> None:
    for page in pages:
        outer = tmp_path / "outer.html"
        script = (
            "<p id=found></p><script>onload = () => { const inner = "
            "document.querySelector('iframe').contentDocument.documentElement;"
            "document.querySelector('#found').textContent = "
            "[inner.scrollWidth, inner.querySelectorAll('svg').length].join(' '); }</script>"
        )
        outer.write_text(_frame(page, width, script))
        done = _chromium(tmp_path, "--dump-dom", outer.as_uri())
        assert "CONSOLE" not in done.stderr, done.stderr
        wide, drawings = done.stdout.partition('<p id="found">')[2].partition("<")[0].split()
        assert int(wide) <= width and int(drawings) >= 2, page


@pytest.mark.parametrize(("theme", "number"), [("dark", 0), ("light", 1)])
def test_themes(pages: list[Path], theme: str, number: int, tmp_path: Path) -> None:
    """The page is dark or light, and its frames and bars are seen on it."""
    outer, shot = tmp_path / "outer.html", tmp_path / "shot.png"
    outer.write_text(_frame(pages[0], 1280))
    flags = [f"--blink-settings=preferredColorScheme={number}", "--window-size=1280,1600"]
    _chromium(tmp_path, *flags, f"--screenshot={shot}", outer.as_uri())
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert (pixels[5, 5].mean() < 60) == (theme == "dark")
    keep = {"dark": (0x58, 0xAE, 0xEA), "light": (0x0B, 0x62, 0xA8)}[theme]
    assert (np.abs(pixels - keep).max(-1) < 3).sum() > 2000

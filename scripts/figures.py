"""Draw the figures of docs/concepts.md into docs/figures: ``python scripts/figures.py``.

The last one shows the published reports, so it is drawn again when these change; a test compares.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "docs/benchmarks"
FIGURES = Path(__file__).parents[1] / "docs/figures"
KEEP, REUSE, SKIP = "#2a9d8f", "#e9a23b", "#d9dde2"
INK, FAINT, PAPER = "#22303c", "#8a97a3", "#ffffff"
MACHINES = {"amd-epyc-avx-512-bf16": "AMD EPYC (Zen 4)", "intel-xeon-amx": "Intel Xeon with AMX"}
PRECISIONS = {"fp32": "#2a6fbb", "bf16": "#2a9d8f", "int8": "#c4553b"}
NETWORKS = {"resnet50": "circle", "resnet18": "square", "bninception": "diamond"}


class Drawing:
    """An SVG on white paper, which dark pages show well too."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="Helvetica, Arial, sans-serif" font-size="14">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/>'
            "</marker></defs>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
        ]

    def box(self, x: float, y: float, w: float, h: float, fill: str, edge: str = INK) -> None:
        """Draw a rectangle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="3" fill="{fill}" '
            f'stroke="{edge}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = "start",
        bold: bool = False,
        fill: str = INK,
    ) -> None:
        """Write words on a line."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}"{weight}>'
            f"{escape(words)}</text>"
        )

    def path(self, d: str, edge: str = INK, arrow: bool = False, dashed: bool = False) -> None:
        """Draw a line, with a tip or dashes."""
        tip = ' marker-end="url(#tip)"' if arrow else ""
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(
            f'<path d="{d}" fill="none" stroke="{edge}" stroke-width="1.6"{tip}{dash}/>'
        )

    def svg(self) -> str:
        """Return the file."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def gate() -> str:
    """What a gate asks of a convolution in two frames."""
    before, now = "KKSKKSSK", "KRRSKSRS"
    draw = Drawing(760, 430, "Keep, reuse and skip of eight channels in two frames")
    left, step, size = 210, 62, 40

    def row(y: float, label: str, fills: str, letters: str = "") -> None:
        draw.text(left - 20, y + 26, label, "end")
        for index, action in enumerate(fills):
            x = left + index * step
            fill = {"K": KEEP, "R": REUSE, "S": SKIP, "-": PAPER}[action]
            draw.box(x, y, size, size, fill, FAINT if action in "S-" else INK)
            if letters:
                ink = PAPER if letters[index] == "K" else INK
                draw.text(x + size / 2, y + 26, letters[index], "middle", True, ink)

    def computed(own: str, next_frame: str) -> str:
        pairs = zip(own, next_frame, strict=True)
        return "".join("K" if "K" in pair[0] or pair[1] == "R" else "-" for pair in pairs)

    first, second = computed(before, now), computed(now, "SSSSSSSS")
    draw.text(24, 40, "frame 1", bold=True)
    row(52, "its policy", before, before)
    row(108, "conv1 computes", first)
    draw.text(24, 186, "frame 2", bold=True)
    row(198, "its policy", now, now)
    row(254, "conv1 computes", second)
    row(310, "conv2 reads", now)
    for index, action in enumerate(now):
        x = left + index * step + size
        if action == "R":
            draw.path(f"M{x} 128C{x + 24} 150 {x + 24} 308 {x + 3} 328", arrow=True)
    count = first.count("K") + second.count("K")
    for index, (fill, words) in enumerate(
        [(KEEP, "K keep: computed"), (REUSE, "R reuse: frame 1's"), (SKIP, "S skip: zeros")]
    ):
        draw.box(left + 180 * index, 370, 16, 16, fill)
        draw.text(left + 24 + 180 * index, 383, words)
    draw.text(
        left, 414, f"{count} of {2 * len(now)} channels are computed; an empty box costs nothing."
    )
    return draw.svg()


def gather() -> str:
    """How a fused block computes what is needed, without gaps."""
    draw = Drawing(760, 500, "Gathered outputs and gathered inputs of a fused block")
    own, lent = [0, 4], [1, 2, 6]
    size, step = 26, 30

    def strip(x: float, y: float, fills: list[str], labels: list[str] | None = None) -> None:
        for index, fill in enumerate(fills):
            draw.box(x + index * step, y, size, size, fill, INK if fill != SKIP else FAINT)
            if labels:
                draw.text(x + index * step + size / 2, y + 18, labels[index], "middle")

    def rows(x: float, y: float, used: dict[int, str], width: float) -> None:
        for index in range(8):
            draw.box(x, y + 17 * index, width, 13, used.get(index, SKIP), FAINT)

    draw.text(24, 32, "1  conv1: only the rows of its weights that frame 2 keeps", bold=True)
    draw.text(24, 62, "a pixel of the input, all channels")
    strip(24, 72, ["#c9d6e8"] * 12)
    draw.text(420, 62, "conv1's weights, a row per output")
    rows(420, 72, dict.fromkeys(own, KEEP), 150)
    draw.path("M390 85H412", arrow=True)
    draw.path("M578 80H606", arrow=True)
    draw.path("M578 148H606", arrow=True)
    draw.text(614, 85, "channel 0")
    draw.text(614, 153, "channel 4")

    draw.text(24, 244, "2  what was computed lies side by side: no gaps, no zeros", bold=True)
    draw.text(24, 272, "frame 1: 0 3 4 7, 1 for both, 2 6 for frame 2")
    strip(24, 282, [KEEP] * 4 + [REUSE] * 3, ["0", "3", "4", "7", "1", "2", "6"])
    draw.text(24, 342, "frame 2: 0 4")
    strip(24, 352, [KEEP] * 2, ["0", "4"])

    words = "3  conv2: a list of (input, row of weights), five entries instead of eight"
    draw.text(24, 452, words, bold=True)
    draw.text(420, 272, "conv2's weights, a row per input")
    rows(420, 282, {**dict.fromkeys(own, KEEP), **dict.fromkeys(lent, REUSE)}, 150)
    draw.path("M238 295C330 300 350 320 412 322", arrow=True)
    draw.path("M88 366C230 372 340 360 412 354", arrow=True)
    draw.path("M578 350H606", arrow=True)
    draw.text(614, 355, "the block's output,")
    draw.text(614, 373, "all channels, dense")
    draw.text(24, 478, "The innermost loop is the same as in a dense network; its list is shorter.")
    return draw.svg()


def realised() -> str:
    """Multiply-accumulates saved beside time saved, from the published reports."""
    draw = Drawing(760, 470, "How many times fewer multiply-accumulates and how many times as fast")
    side, bottom, unit = 280, 370, 280 / 2.25  # axes from 0.5 to 2.75

    for panel, (folder, title) in enumerate(MACHINES.items()):
        x0 = 70 + panel * 365

        def place(fewer: float, faster: float, x0: float = x0) -> tuple[float, float]:
            return x0 + (fewer - 0.5) * unit, bottom - (faster - 0.5) * unit

        draw.text(x0, 40, title, bold=True)
        draw.box(x0, bottom - side, side, side, "#f7f9fb", FAINT)
        for tick in (0.5, 1.0, 1.5, 2.0, 2.5):
            x, y = place(tick, tick)
            draw.text(x, bottom + 20, f"{tick:g}", "middle", fill=FAINT)
            draw.text(x0 - 8, y + 5, f"{tick:g}", "end", fill=FAINT)
        (x1, y1), (x2, y2) = place(0.5, 0.5), place(2.75, 2.75)
        draw.path(f"M{x1:g} {y1:g}L{x2:g} {y2:g}", FAINT, dashed=True)
        x1, y1 = place(0.5, 1)
        draw.path(f"M{x1:g} {y1:g}h{side}", FAINT)
        draw.text(x0 + side / 2, bottom + 42, "times fewer multiply-accumulates", "middle")
        plain = (p for p in (BENCHMARKS / folder).glob("*.json") if p.stem.count("-") == 2)
        for path in sorted(plain):
            network, _, precision = path.stem.split("-")
            if network in NETWORKS and precision in PRECISIONS:
                report = json.loads(path.read_text())
                fewer = report["macs_dense"] / report["macs_adaptive"]
                x, y = place(fewer, report["speedup"])
                _mark(draw, x, y, NETWORKS[network], PRECISIONS[precision])
    draw.text(70, 74, "times as fast as the best dense peer", fill=FAINT)
    for index, (name, colour) in enumerate(PRECISIONS.items()):
        _mark(draw, 80 + 90 * index, 442, "circle", colour)
        draw.text(92 + 90 * index, 447, name)
    for index, (name, shape) in enumerate(
        {"ResNet-50": "circle", "ResNet-18": "square", "BN-Inception": "diamond"}.items()
    ):
        _mark(draw, 390 + 115 * index, 442, shape, FAINT)
        draw.text(402 + 115 * index, 447, name)
    return draw.svg()


def _mark(draw: Drawing, x: float, y: float, shape: str, fill: str) -> None:
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape == "diamond" else ""
    radius = 6 if shape == "circle" else 1
    draw.parts.append(
        f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" rx="{radius}" '
        f'fill="{fill}" fill-opacity="0.85" stroke="{PAPER}"{turned}/>'
    )


FIGURES_BY_NAME = {"gate": gate, "gather": gather, "realised": realised}


def main() -> None:
    """Write them."""
    FIGURES.mkdir(exist_ok=True)
    for name, figure in FIGURES_BY_NAME.items():
        (FIGURES / f"{name}.svg").write_text(figure(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""A profile: rows that add up to the time of a run, as values and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PHASES = ("pack", "conv", "conv1", "conv2", "conv3", "pool", "policy", "other", "wait")
"""What a node's time goes into, in the order of a table."""


@dataclass(frozen=True)
class Row:
    """The time of a node that computes layers, or of all nodes of an operator that do not.

    Attributes:
        name: of the part of the network, "layer2.0" or "layer2.0.gate1"; or of the operator.
        operator: the node's, such as ``ConditionalBottleneck``.
        nodes: how many; 1 for what computes layers.
        ms: mean milliseconds a run.
        phases: of our operators, milliseconds by phase, which add up to ``ms``: thread time by the
            number of threads.
        layers: name in the cost table -> multiply-accumulates that the decisions leave.
        macs_dense: multiply-accumulates a run if every channel were computed.
        macs_asked: what the decisions leave.
        macs_done: what the operators do: ``macs_asked``, or all where bodies run dense.
        peak_share: ``macs_done`` by time, as a share of the machine's peak; None without a peak.
        weight_bytes: of its constants.
        activation_bytes: that it reads and writes, without the state.
        state_bytes: of a stream's state that it reads and writes.
    """

    name: str
    operator: str
    nodes: int
    ms: float
    phases: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, float] = field(default_factory=dict)
    macs_dense: float = 0.0
    macs_asked: float = 0.0
    macs_done: float = 0.0
    peak_share: float | None = None
    weight_bytes: int = 0
    activation_bytes: int = 0
    state_bytes: int = 0


@dataclass(frozen=True)
class Profile:
    """Where the time of a run goes: a clip, or a stream's next frame.

    Attributes:
        model: name of the file.
        summary: the network and the form of its graph.
        engine: the runtime.
        mode: "clip" or "stream".
        threads: of an operator.
        decisions: whose they are: of a video, of noise, or a forced mix.
        rows: in the order of the graph; behind them what computes no layers, by operator.
        runtime_ms: the rest of a recorded run: between the nodes, and around them; ONNX Runtime's
            executor and the checks of the engine.  It is not measured by itself.
        recorded_ms: mean of recorded runs, what all rows and ``runtime_ms`` add up to.
        end_to_end_ms: mean of runs that nobody recorded, between the recorded ones.
        runs: of either kind.
        peaks: precision -> the machine's 10^9 multiply-accumulates a second.
    """

    model: str
    summary: str
    engine: str
    mode: str
    threads: int
    decisions: str
    rows: list[Row]
    runtime_ms: float
    recorded_ms: float
    end_to_end_ms: float
    runs: int
    peaks: Mapping[str, float]

    @property
    def difference(self) -> float:
        """What the rows add up to, by the time end to end, less one: what recording costs."""
        return self.recorded_ms / self.end_to_end_ms - 1

    @property
    def macs(self) -> tuple[float, float, float]:
        """Multiply-accumulates a run: dense, asked and done."""
        return (
            sum(row.macs_dense for row in self.rows),
            sum(row.macs_asked for row in self.rows),
            sum(row.macs_done for row in self.rows),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        dense, asked, done = self.macs
        return {
            **self.__dict__,
            "rows": [asdict(row) for row in self.rows],
            "difference": self.difference,
            "macs_dense": dense,
            "macs_asked": asked,
            "macs_done": done,
            "phases": PHASES,
        }

    def lines(self) -> list[str]:
        """Return a table for people."""
        phases = [phase for phase in PHASES if any(phase in row.phases for row in self.rows)]
        header = ["", "ms", "%", *phases, "MMACs", "asked", "done", "peak %", "MB w", "MB a"]
        if self.mode == "stream":
            header.append("MB s")
        rows = [self._cells(row, phases) for row in self.rows]
        rest = ["runtime", f"{self.runtime_ms:.2f}", self._share(self.runtime_ms)]
        total = self._total(phases)
        table = aligned([header, *rows, rest, total])
        unit = "clip" if self.mode == "clip" else "frame"
        return [
            *table,
            f"All rows are {self.recorded_ms:.2f} ms a {unit}; when nobody records it takes "
            f"{self.end_to_end_ms:.2f} ms ({100 * self.difference:+.1f} %).",
            f"The quietest quarter of {self.runs} runs each, on {self.threads} "
            f"thread{'s' if self.threads > 1 else ''}.",
            f"Decisions: {self.decisions}.",
        ]

    def _cells(self, row: Row, phases: Sequence[str]) -> list[str]:
        name = row.name if row.nodes == 1 else f"{row.name} x{row.nodes}"
        cells = [name, f"{row.ms:.2f}", self._share(row.ms)]
        cells += [f"{row.phases[phase]:.2f}" if phase in row.phases else "" for phase in phases]
        if row.macs_dense:
            macs = (row.macs_dense, row.macs_asked, row.macs_done)
            cells += [f"{count / 1e6:.1f}" for count in macs]
            cells.append("" if row.peak_share is None else f"{100 * row.peak_share:.0f}")
        else:
            cells += [""] * 4
        sizes = [row.weight_bytes, row.activation_bytes]
        sizes += [row.state_bytes] if self.mode == "stream" else []
        return cells + [f"{size / 1e6:.2f}" if size else "" for size in sizes]

    def _total(self, phases: Sequence[str]) -> list[str]:
        cells = ["total", f"{self.recorded_ms:.2f}", "100"]
        cells += [f"{sum(row.phases.get(phase, 0.0) for row in self.rows):.2f}" for phase in phases]
        cells += [*(f"{count / 1e6:.1f}" for count in self.macs), ""]
        names = ("weight_bytes", "activation_bytes", "state_bytes")
        for name in names if self.mode == "stream" else names[:2]:
            cells.append(f"{sum(getattr(row, name) for row in self.rows) / 1e6:.2f}")
        return cells

    def _share(self, ms: float) -> str:
        return f"{100 * ms / self.recorded_ms:.0f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with the first column to the left and the others to the right."""
    count = max(map(len, rows))
    full = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in full) for column in range(count)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in full
    ]

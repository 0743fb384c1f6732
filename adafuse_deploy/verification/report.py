"""What a verification found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from adafuse_deploy import __version__
from adafuse_deploy.compare.comparison import Comparison
from adafuse_deploy.compare.disagreement import Disagreement
from adafuse_deploy.core.savings import savings
from adafuse_deploy.evaluation.interval import interval
from adafuse_deploy.verification.latency import Latency


@dataclass(frozen=True)
class Thresholds:
    """What an engine must reach, on tied clips under its own decisions (:class:`Comparison`).

    Attributes:
        policy_agreement: decisions equal to the reference's but for ties, in per cent, at least.
        atol, rtol: logits and frame logits may differ by ``atol + rtol * rms``.
        top1_agreement: clips with the reference's best class, in per cent, at least.
        top1_loss: points of top-1 accuracy that may be lost, where the classes are known.
    """

    policy_agreement: float
    atol: float
    rtol: float
    top1_agreement: float
    top1_loss: float = 100.0


DEFAULT_THRESHOLDS = {
    "fp32": Thresholds(100.0, 0.0, 1e-3, 100.0),
    "fp16": Thresholds(99.0, 0.0, 5e-2, 98.0),
    "bf16": Thresholds(98.0, 0.0, 2.0, 98.0, 0.5),
    "int8": Thresholds(98.0, 0.0, 2.0, 98.0, 0.5),
}
"""By the precision of the engine.  In bf16 and int8 close decisions turn over, and one that does
can move the logits of its clip by a good part of their RMS: what counts is the accuracy."""


@dataclass(frozen=True)
class Result:
    """One engine's.

    Attributes:
        name: the engine.
        precision: of its convolutions.
        comparison: with the reference.
        latency: of one batch; None if the engine answered with NaN.
        thresholds: that applied.
        failures: sentences on what missed them; empty if the engine passed.
        skips_work: it leaves out what the policies leave out.
    """

    name: str
    precision: str
    comparison: Comparison
    latency: Latency | None
    thresholds: Thresholds
    failures: tuple[str, ...]
    skips_work: bool = False

    def line(self) -> str:
        """Return the engine's correctness in one line."""
        seen = self.comparison
        ties = ""
        if seen.ties:
            ties = f" ({_percent(seen.excused_agreement)} but for {seen.ties} ties in {seen.tied} "
            ties += "clips, compared under the engine's decisions)"
        verdict = f"FAILED: {' '.join(self.failures)}" if self.failures else "passed"
        if not seen.clips:
            return f"{self.name}: {verdict}"
        return (
            f"{self.name}: policy agreement {_percent(seen.policy_agreement)}{ties}, "
            f"logits error {seen.logits.relative:.1e} of RMS ({seen.logits.largest:.1e}), "
            f"top-1 agreement {_percent(seen.top1_agreement)}, {verdict}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        seen = self.comparison
        return {
            "name": self.name,
            "precision": self.precision,
            "passed": not self.failures,
            "failures": list(self.failures),
            "clips": seen.clips,
            "tied_clips": seen.tied,
            "decisions": seen.decisions,
            "flips": seen.flips,
            "policy_agreement": seen.policy_agreement,
            "ties": seen.ties,
            "untied_policy_agreement": seen.excused_agreement,
            "clearest_flip": None if seen.clearest is None else asdict(seen.clearest),
            "logits_max_error": seen.logits.largest,
            "logits_relative_error": seen.logits.relative,
            "frame_logits_max_error": seen.frame_logits.largest,
            "frame_logits_relative_error": seen.frame_logits.relative,
            "top1_agreement": seen.top1_agreement,
            **_accuracies(seen),
            "gmacs_per_clip": seen.gmacs,
            "skips_work": self.skips_work,
            "latency_ms": None if self.latency is None else asdict(self.latency),
            "thresholds": asdict(self.thresholds),
        }


@dataclass(frozen=True)
class Report:
    """A whole verification.

    Attributes:
        clips: where they came from, in words.
        batch: clips per call.
        threads: given to each runtime; None for its own choice.
        reference: the network as trained, or its portable graph, compared with itself.
        results: of the engines that ran.
        not_run: backend -> why it did not run.
        files: what was verified: role -> SHA-256.
        source: of the reference: "PyTorch", or the graph in words.
        dense_gmacs: billions of multiply-accumulates per clip without gates.
        labels: names of the classes.
    """

    clips: str
    batch: int
    threads: int | None
    reference: Comparison
    results: list[Result]
    not_run: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    source: str = "PyTorch"
    dense_gmacs: float = 0.0
    labels: Sequence[str] = ()

    @property
    def failures(self) -> list[str]:
        """Sentences on everything that missed its threshold."""
        return [f"{result.name}: {text}" for result in self.results for text in result.failures]

    def text(self) -> str:
        """Return the report as lines and a table."""
        lines = [f"Compared with {self.source} on {self.clips}:"]
        lines += [f"  {result.line()}" for result in self.results]
        lines += [f"  {name}: not run: {reason}" for name, reason in self.not_run.items()]
        threads = "each runtime's choice" if self.threads is None else self.threads
        lines += ["", f"Batch {self.batch}, threads: {threads}, interleaved:", *self._table()]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        rows = [("", "top-1", "top-5", "GMACs", "p50 ms", "p90 ms")]
        rows.append(("reference", *_accuracy(self.reference), "", ""))
        for result in self.results:
            latency = result.latency
            times = ("-", "-") if latency is None else (f"{latency.p50:.2f}", f"{latency.p90:.2f}")
            rows.append((result.name, *_accuracy(result.comparison), *times))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "tool_version": __version__,
            "passed": not self.failures,
            "clips": self.clips,
            "batch": self.batch,
            "threads": self.threads,
            "files": self.files,
            "reference": {
                "source": self.source,
                **_accuracies(self.reference),
                "gmacs_per_clip": self.reference.gmacs,
                "dense_gmacs_per_clip": self.dense_gmacs,
            },
            "results": [
                {**result.to_dict(), "saved": self._saved(result)} for result in self.results
            ],
            "not_run": self.not_run,
            "disagreements": [
                self._in_words(result, found)
                for result in self.results
                for found in result.comparison.worst.clips
            ],
        }

    def _saved(self, result: Result) -> dict[str, Any] | None:
        """Compare an engine that skips work with the fastest one that computes everything."""
        full = [(r.latency.p50, r.name) for r in self.results if r.latency and not r.skips_work]
        if not (result.skips_work and result.latency and full):
            return None
        ms, name = min(full)
        gmacs = result.comparison.gmacs
        return {"against": name, **savings(gmacs, self.dense_gmacs, result.latency.p50, ms)}

    def _in_words(self, result: Result, found: Disagreement) -> dict[str, Any]:
        """Return plain values for a clip that differs, with names of the classes."""
        labels = self.labels
        return {
            "engine": result.name,
            "clip": found.clip,
            "flips": found.flips,
            "unexcused": found.unexcused,
            "logits_relative_error": found.logits_error,
            "expected": labels[found.expected],
            "expected_probability": found.expected_probability,
            "answer": labels[found.answer],
            "probability": found.probability,
            "differing": [[round(share, 4) for share in gate] for gate in found.differing],
        }


def _accuracies(seen: Comparison) -> dict[str, Any]:
    return {
        "top1_accuracy": seen.top1_accuracy,
        "top1_interval": interval(seen.top1, seen.labelled) if seen.labelled else None,
        "top5_accuracy": seen.top5_accuracy,
    }


def _accuracy(seen: Comparison) -> tuple[str, str, str]:
    top1, top5 = (
        "-" if share is None else f"{share:.1f} %"
        for share in (seen.top1_accuracy, seen.top5_accuracy)
    )
    return top1, top5, f"{seen.gmacs:.4f}"


def _percent(share: float) -> str:
    """Write a share so that only a whole one reads as 100 %."""
    return "100 %" if share == 100 else f"{min(share, 99.9999):.4f} %"

"""What is done about failing clips: saving them, finding where engines go wrong, replaying."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from adafuse_deploy.compare.bisect import Departure, bisect
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.engine import Engine, Forced
from adafuse_deploy.verification.judgement import FailedClip
from adafuse_deploy.verification.saved_failures import FailureFolder, SavedClips
from adafuse_deploy.verification.verifier import open_reference

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer


@dataclass
class Failures:
    """The failing clips of a verification.

    Attributes:
        folder: saves them; None if they are not wanted.
        reasons: clip -> engine -> what it missed.
        first: engine -> the first clip that it failed on, float32 (1, T, 3, H, W).
    """

    folder: FailureFolder | None = None
    reasons: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    first: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, failure: FailedClip) -> None:
        """Take in a failure."""
        self.reasons.setdefault(failure.clip, {})[failure.engine] = list(failure.reasons)
        self.first.setdefault(failure.engine, failure.frames)
        if self.folder is not None:
            self.folder.add(failure)


def find_departures(
    model: VideoRecognizer | str | os.PathLike[str],
    engines: Mapping[str, Engine],
    clips: Mapping[str, np.ndarray],
) -> dict[str, Departure | str]:
    """Find the gate at which engines leave the reference.

    Args:
        model: the reference, as for :func:`~adafuse_deploy.verification.verifier.verify`.
        engines: those that were verified.
        clips: engine -> float32 (1, T, 3, H, W) on which it failed.

    Returns:
        Per engine of ``clips`` where it leaves the reference, or why that cannot be found.
    """
    found: dict[str, Departure | str] = {}
    reference, config, _ = open_reference(model)
    for name, clip in clips.items():
        engine = engines[name]

        def run(
            policies: Sequence[np.ndarray], engine: Engine = engine, clip: np.ndarray = clip
        ) -> Forced:
            return engine.run_forced(clip, policies)

        try:
            found[name] = bisect(
                reference,
                run,
                clip,
                engine.metadata.gates,
                engine.metadata.precision,
                shortcuts=config.backbone != "bninception",
            )
        except InputError as error:
            found[name] = str(error)
    return found


def replayed(clips: SavedClips, failures: Failures, engines: Sequence[str]) -> list[dict[str, Any]]:
    """Return what became of saved failures, per clip and engine, as plain values.

    ``saved`` and ``now`` are sentences on what was missed then and is missed now; empty where the
    engine passed, and ``saved`` is None where it was not among the engines then.
    """
    outcome = []
    for index in range(len(clips)):
        saved, now = clips.saved(index), failures.reasons.get(index, {})
        for engine in engines:
            then = saved.get(engine) if engine not in clips.engines else saved.get(engine, [])
            outcome.append(
                {
                    "clip": clips.name(index),
                    "engine": engine,
                    "saved": then,
                    "now": now.get(engine, []),
                }
            )
    return outcome


def outcome_in_words(outcome: Mapping[str, Any]) -> str:
    """Return an entry of :func:`replayed` as a line."""
    then, now = outcome["saved"], outcome["now"]
    before = "was not run" if then is None else "failed" if then else "passed"
    after = f"fails now: {' '.join(now)}" if now else "passes now"
    return f"{outcome['clip']}: {outcome['engine']} {before} when it was saved, {after}"

#!/usr/bin/env python3
"""Accuracy at other frame rates and with dropped frames, where steps go by time stamps.

`python scripts/frame_rates.py` prints the table of docs/streaming.md: the shipped networks on
procedural videos of 3 seconds that training never saw, filmed at each rate anew, of whose frames
one in five is missing.  Only frames that a network looks at are drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from adafuse_deploy.assets import SHIPPED, SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.core.progress import progress
from adafuse_deploy.data.feed import Frame, Sampling
from adafuse_deploy.data.synthetic import CLASS_NAMES, RATE, synthetic_frames
from adafuse_deploy.data.windows import Window, cut_windows, window_clips
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.window_answers import clip_windows, stream_windows

SEED = 2  # of videos that training never saw
SECONDS, SIZE = 3, 64
RATES = (5, 8, 15, 30, 60)


@dataclass(frozen=True)
class Film:
    """A video of some rate of which frames are missing.

    Attributes:
        index: of the procedural video.
        rate: frames a second.
        kept: numbers of the frames that are there.
        seed: of the procedural videos.
    """

    index: int
    rate: int
    kept: np.ndarray
    seed: int = SEED

    @property
    def windows(self) -> list[Window]:
        """The one window of a file that begins with the first frame and ends with the last."""
        return cut_windows((self.kept[-1] + 1 - self.kept[0]) / self.rate, SECONDS, SECONDS)

    def frames(self, convert: Callable[[int], np.ndarray]) -> list[Frame]:
        return [Frame(partial(convert, int(n)), n / self.rate) for n in self.kept]

    def drawn(self, look: Callable[[list[Frame]], object]) -> list[Frame]:
        """Return the frames, of which those are drawn that ``look`` converts."""
        seen: list[int] = []

        def note(number: int) -> np.ndarray:
            seen.append(number)
            return np.zeros((SIZE, SIZE, 3), np.uint8)

        look(self.frames(note))
        numbers = sorted(set(seen))
        moments = np.array(numbers) / (self.rate * SECONDS - 1)
        images = dict(
            zip(
                numbers,
                synthetic_frames(self.index, moments, seed=self.seed, size=SIZE),
                strict=True,
            )
        )
        return self.frames(images.__getitem__)


def by_time(engine: Engine, film: Film) -> Prediction:
    """Recognise the clip of the frames that are shown in the middles of T equal parts."""
    config = engine.metadata.config

    def look(frames: list[Frame]) -> object:
        return list(window_clips(frames, film.windows, config.num_segments, config.preprocessing))

    (prediction,) = clip_windows(engine, film.drawn(look), film.windows)
    return prediction


def by_steps(engine: Engine, film: Film) -> Prediction:
    """Recognise what a stream has seen when all frames are through."""
    spacing = engine.metadata.config.frame_spacing
    assert spacing is not None
    steps = Sampling(spacing=spacing.median)

    def look(frames: list[Frame]) -> object:
        return [frame.image for frame in steps.pick(iter(frames))]

    (prediction,) = stream_windows(engine, steps.pick(iter(film.drawn(look))), film.windows)
    return prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=600)
    parser.add_argument("--drops", type=float, default=0.2, help="share of the frames that miss")
    parser.add_argument(
        "--seed", type=int, default=SEED, help="of the videos; training had 0 and 1"
    )
    options = parser.parse_args()
    answers = {
        "clips, TSM": partial(by_time, load_engine(SHIPPED, threads=1)),
        "clips, online TSM": partial(by_time, load_engine(SHIPPED_GRAPH, threads=1)),
        "stream, online TSM": partial(by_steps, load_engine(SHIPPED_STREAM_GRAPH, threads=1)),
    }
    print("| frames a second | missing | " + " | ".join(answers) + " |")
    print("|" + " ---: |" * (len(answers) + 2))
    for rate, drops in ((RATE, 0.0), *((rate, options.drops) for rate in RATES)):
        hits = dict.fromkeys(answers, 0)
        shown = f"{rate} a second, {drops:.0%} missing"
        for index in progress(range(options.videos), shown, unit="videos"):
            chance = np.random.default_rng((options.seed, rate, index)).random(rate * SECONDS)
            film = Film(index, rate, np.flatnonzero(chance >= drops), options.seed)
            for name, answer in answers.items():
                hits[name] += int(answer(film).top(1)[0, 0]) == index % len(CLASS_NAMES)
        cells = [f"{100 * count / options.videos:.2f} %" for count in hits.values()]
        print(f"| {rate} | {drops:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Accuracy at other frame rates and with dropped frames: steps by time stamps, and by counting.

`python scripts/frame_rates.py` prints the table of docs/streaming.md: the shipped networks on
procedural videos of 3 seconds that training never saw, drawn at each rate anew, of whose frames one
in five is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from adafuse_deploy.assets import SHIPPED, SHIPPED_GRAPH, SHIPPED_STREAM_GRAPH
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.core.progress import progress
from adafuse_deploy.data.feed import Frame, Sampling
from adafuse_deploy.data.synthetic import RATE, synthetic_clip
from adafuse_deploy.data.windows import Window, cut_windows
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.window_answers import clip_windows, stream_windows

SEED = 2  # of videos that training never saw
SECONDS = 3
RATES = (5, 8, 15, 30, 60)

Answer = Callable[[list[Frame], list[Window]], Prediction]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=720)
    parser.add_argument("--drops", type=float, default=0.2, help="share of the frames that miss")
    options = parser.parse_args()
    large = load_engine(SHIPPED, threads=1)
    small = load_engine(SHIPPED_GRAPH, threads=1)
    stream = load_engine(SHIPPED_STREAM_GRAPH, threads=1)
    spacing = stream.metadata.config.frame_spacing
    assert spacing is not None
    answers: dict[str, Answer] = {
        "clips, TSM": partial(by_time, large),
        "clips, online TSM": partial(by_time, small),
        "stream, online TSM": partial(by_steps, stream, Sampling(spacing=spacing.median)),
        "stream, every 3rd frame": partial(by_steps, stream, Sampling(stride=3)),
    }
    print("| frames a second | missing | " + " | ".join(answers) + " |")
    print("|" + " ---: |" * (len(answers) + 2))
    for rate, drops in ((RATE, 0.0), *((rate, options.drops) for rate in RATES)):
        hits = dict.fromkeys(answers, 0)
        shown = f"{rate} a second, {drops:.0%} missing"
        for index in progress(range(options.videos), shown, unit="videos"):
            images, label = synthetic_clip(index, seed=SEED, num_frames=rate * SECONDS)
            rng = np.random.default_rng((SEED, rate, index))
            kept = np.flatnonzero(rng.random(len(images)) >= drops)
            frames = [Frame(partial(images.__getitem__, n), n / rate) for n in kept]
            # As of a file, which ends with its last frame.
            windows = cut_windows((kept[-1] + 1 - kept[0]) / rate, SECONDS, SECONDS)
            for name, answer in answers.items():
                hits[name] += int(answer(frames, windows).top(1)[0, 0]) == label
        cells = [f"{100 * count / options.videos:.2f} %" for count in hits.values()]
        print(f"| {rate} | {drops:.0%} | {' | '.join(cells)} |", flush=True)


def by_time(engine: Engine, frames: list[Frame], windows: list[Window]) -> Prediction:
    """Recognise the clip of the frames that are shown in the middles of T equal parts."""
    (prediction,) = clip_windows(engine, frames, windows)
    return prediction


def by_steps(
    engine: Engine, sampling: Sampling, frames: list[Frame], windows: list[Window]
) -> Prediction:
    """Recognise what a stream has seen when all frames are through."""
    steps: Iterator[Frame] = sampling.pick(iter(frames))
    (prediction,) = stream_windows(engine, steps, windows)
    return prediction


if __name__ == "__main__":
    main()

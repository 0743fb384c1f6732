"""Train and measure the checkpoints that the package ships.

    python scripts/make_checkpoint.py clip      # recipes/synthetic_adafuse_tsm_resnet18.yaml
    python scripts/make_checkpoint.py stream    # recipes/synthetic_adafuse_tsm_online_resnet18.yaml

Each runs three trainings: a dense network, AdaFuse from it, and the dense network on for as long,
for a fair comparison.  Finished parts are kept in runs/.  The one for streams is measured on clips
and frame by frame.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adafuse_deploy.assets import SHIPPED, SHIPPED_STREAM
from adafuse_deploy.cli import adafuse_deploy
from adafuse_deploy.data.dataset import SyntheticClips
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.engines.pytorch_engine import TorchEngine
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint, save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.training.evaluation import evaluate

TEST_SEED = 2  # of videos that were neither trained on nor looked at in training
STRIDE = 3
"""A clip has 8 of a video's 24 frames; a stream takes every third, which is the same rate."""
WINDOW = 4
"""Frames whose mean answers in an endless stream, chosen on the validation videos (seed 1): the
first frames of an action still have the previous one's behind them."""
STREAMS = 48


@dataclass(frozen=True)
class Shipped:
    """A checkpoint to make.

    Attributes:
        target: where it goes.
        recipe: what it is trained by.
        dense: registered name of the network without gates.
        folder: of the runs.
        streams: measure it frame by frame too.
        test_clips: on how many videos.
    """

    target: Path
    recipe: str
    dense: str
    folder: str
    streams: bool
    test_clips: int

    @property
    def commands(self) -> tuple[str, str, str]:
        """The three trainings, as on the command line."""
        train = f"train --recipe {self.recipe}"
        dense = f"{self.folder}/dense.pt"
        return (
            f"{train} --model {self.dense} --lr 0.05 -o {dense}",
            f"{train} --init {dense} -o {self.folder}/adafuse.pt",
            f"{train} --model {self.dense} --init {dense} -o {self.folder}/dense_longer.pt",
        )


KINDS = {
    "clip": Shipped(
        SHIPPED, "recipes/synthetic_adafuse_tsm_resnet18.yaml", "tsm_resnet18", "runs", False, 2400
    ),
    "stream": Shipped(
        SHIPPED_STREAM,
        "recipes/synthetic_adafuse_tsm_online_resnet18.yaml",
        "tsm_online_resnet18",
        "runs/stream",
        True,
        1200,
    ),
}


def main(kind: str) -> None:
    """Train what is missing, measure on the test set, and write the checkpoint."""
    shipped = KINDS[kind]
    folder = Path(shipped.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for command in shipped.commands:
        words = [*shlex.split(command), "--resume"]
        adafuse_deploy.main(words, obj=words, standalone_mode=False)
    model = load_model(folder / "adafuse.pt")
    preprocessing = model.config.preprocessing
    clips = SyntheticClips(
        shipped.test_clips, model.config.num_segments, preprocessing, seed=TEST_SEED
    )
    gated = evaluate(model, clips)
    dense = evaluate(load_model(folder / "dense_longer.pt"), clips)
    streamed = {"streamed": measure_streams(model, clips)} if shipped.streams else {}
    content = read_checkpoint(folder / "adafuse.pt")
    save_checkpoint(
        model,
        shipped.target,
        training=content["training"],
        seed=content["seed"],
        commands=[f"adafuse-deploy {command}" for command in shipped.commands],
        test_set=f"{shipped.test_clips} procedural videos of 64 x 64, seed {TEST_SEED}",
        evaluation=gated.to_dict(),
        dense=dense.to_dict(),
        **streamed,
    )
    for name, result in (("AdaFuse", gated), ("dense", dense)):
        print(_line(name, result))
    for name, value in streamed.get("streamed", {}).items():
        print(f"streamed, {name.replace('_', ' ')}: {value}")
    mode = " --mode stream" if shipped.streams else ""
    print(f"Wrote {shipped.target}.\nNext: adafuse-deploy export {shipped.target}{mode} -o m.onnx")


def measure_streams(model: VideoRecognizer, clips: SyntheticClips) -> dict[str, Any]:
    """Measure frame by frame on the videos of ``clips``, every third frame of each.

    Returns:
        ``top1_of_single_videos``: per cent, each video a stream of its own, the mean of its frames;
        ``top1_in_endless_streams``: per cent, the videos in random order one behind the other
        without a break, the answer being the mean of the last :data:`WINDOW` frames at each
        video's end;
        ``gmacs_per_frame``: of the latter.
    """
    engine = TorchEngine(model)
    order = np.random.default_rng(TEST_SEED).permutation(len(clips)).reshape(-1, STREAMS)
    config, macs, hits = model.config, [], {"mean": 0, "window": 0}
    with (
        engine.stream(STREAMS, consensus="window", window=WINDOW) as endless,
        engine.stream(STREAMS, consensus="mean") as single,
    ):
        for indices in order:
            drawn = [clips.videos[index] for index in indices]
            videos = [source.open().frames(range(0, 24, STRIDE)) for source in drawn]
            labels = np.array([source.label for source in drawn])
            single.reset()
            for frames in zip(*videos, strict=True):
                batch = preprocess(np.stack(frames), config.preprocessing)
                alone, running = single.push(batch), endless.push(batch)
                macs.append(running.macs.mean())
            hits["mean"] += int((alone.top(1)[:, 0] == labels).sum())
            hits["window"] += int((running.top(1)[:, 0] == labels).sum())
    return {
        "top1_of_single_videos": 100 * hits["mean"] / len(clips),
        "top1_in_endless_streams": 100 * hits["window"] / len(clips),
        "gmacs_per_frame": float(np.mean(macs)) / 1e9,
        "frames": f"every {STRIDE}rd of 24, window of {WINDOW}",
    }


def _line(name: str, result: Evaluation) -> str:
    return f"{name}: top-1 {result.top1:.2f} %, {1000 * result.gmacs:.2f} MMACs per clip"


if __name__ == "__main__":
    if sys.argv[1:] not in ([kind] for kind in KINDS):
        sys.exit(f"Say which: python scripts/make_checkpoint.py {'|'.join(KINDS)}")
    main(sys.argv[1])

"""Reproduce the paper's claims in miniature, on procedural videos and a CPU.

    python scripts/reproduce.py

trains dense TSN and TSM, AdaFuse TSN, TSM and TSM+Last with three seeds, and AdaFuse TSM with
several weights of the FLOPs term; then writes tables and plots to docs/reproduction/.  Every
training run is kept in runs/reproduction/; a run that is there is not repeated, and one that was
interrupted goes on from its last epoch.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from reproduction_report import write_report

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.data.dataset import SyntheticClips
from adafuse_deploy.data.flips import mirrored_labels
from adafuse_deploy.data.synthetic import CLASS_NAMES
from adafuse_deploy.data.transforms import Augmentation
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import model_config
from adafuse_deploy.training.config import TrainingConfig
from adafuse_deploy.training.evaluation import evaluate
from adafuse_deploy.training.initialise import initialise
from adafuse_deploy.training.trainer import train

SEEDS = (0, 1, 2)
CURVE_SEEDS = SEEDS[:2]
GATING = {  # of the systems with gates; see the fields of Job
    "adafuse_tsn": {"flops_weight": 0.6, "sampled": 0.0},
    "adafuse_tsm": {"flops_weight": 0.7, "sampled": 0.0},
    "adafuse_tsm_last": {"flops_weight": 0.3, "sampled": 0.0},
}
CURVE = (0.2, 0.4, 1.4, 2.8)  # further weights for AdaFuse TSM
SAMPLED = (0.5, 1.0)  # parts of training with sampled policies, to compare with none
TEST_SEED, TRAIN_SEED, VAL_SEED = 2001, 1000, 1002


@dataclass(frozen=True)
class Setting:
    """Sizes of everything.

    Attributes:
        drawn, size: sides of the drawn frames and of the network's input, in pixels.
        width: of ResNet-18.
        train, val, test: numbers of clips.
        dense_epochs: what every system begins with, without gates.
        epochs: what follows: with gates, or still without for the dense systems.
    """

    drawn: int = 27
    size: int = 24
    width: float = 0.125
    train: int = 1800
    val: int = 240
    test: int = 3000
    dense_epochs: int = 4
    epochs: int = 10

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(self.drawn, self.size)


QUICK = Setting(27, 24, 0.125, train=96, val=24, test=48, dense_epochs=1, epochs=1)


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        system: "tsn", "tsm", "adafuse_tsn", "adafuse_tsm" or "adafuse_tsm_last".
        seed: of everything random in it.
        flops_weight: of the FLOPs term.
        first: it is the dense run that the others of this seed start from.
        sampled: the part of training, from its start, in which policies are sampled by Gumbel's
            noise; in the rest they are the argmax.
    """

    system: str
    seed: int
    flops_weight: float = 0.0
    first: bool = False
    sampled: float = 0.0

    @property
    def name(self) -> str:
        weight = f"-lambda{self.flops_weight:g}" if self.flops_weight else ""
        kind = "-first" if self.first else f"-sampled{self.sampled:g}" if self.sampled else ""
        return f"{self.system}{kind}{weight}-seed{self.seed}"

    @property
    def parent(self) -> Job | None:
        """The dense run whose weights this one starts from."""
        if self.first:
            return None
        return Job("tsn" if "tsn" in self.system else "tsm", self.seed, first=True)


def all_jobs(seeds: tuple[int, ...]) -> list[Job]:
    """Return every run, the table's before the curve's."""
    jobs = []
    for seed in seeds:
        jobs += [Job(system, seed, first=True) for system in ("tsm", "tsn")]
        for system in ("adafuse_tsm", "adafuse_tsn", "adafuse_tsm_last", "tsm", "tsn"):
            jobs.append(Job(system, seed, **GATING.get(system, {})))
    few = [seed for seed in seeds if seed in CURVE_SEEDS]
    jobs += [Job("adafuse_tsm", seed, weight) for seed in few for weight in CURVE]
    weight = GATING["adafuse_tsm"]["flops_weight"]
    return jobs + [Job("adafuse_tsm", s, weight, sampled=part) for s in few for part in SAMPLED]


@cache
def clips(setting: Setting, split: str) -> SyntheticClips:
    """Draw a split, once per process; the same clips for every system and seed."""
    count, seed = {
        "train": (setting.train, TRAIN_SEED),
        "val": (setting.val, VAL_SEED),
        "test": (setting.test, TEST_SEED),
    }[split]
    augmentation = None
    if split == "train":
        # Crops of the network's input size from somewhat larger frames: nothing is resampled.
        scale = (setting.size + 0.5) / setting.drawn
        augmentation = Augmentation(scales=(scale,), flip=mirrored_labels(CLASS_NAMES))
    return SyntheticClips(
        count,
        8,
        setting.preprocessing,
        augmentation=augmentation,
        seed=seed,
        size=setting.drawn,
        num_frames=8,
    )


def training_config(job: Job, setting: Setting) -> TrainingConfig:
    """Return how ``job`` trains: alike for all systems but for the FLOPs term."""
    common = TrainingConfig(
        epochs=setting.epochs,
        batch_size=16,
        lr=0.02,
        lr_schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
        clip_apart=True,
        bias_lr=1.0,
        bias_decay=1.0,
        norm_decay=1.0,
        keep="last",
        seed=job.seed,
        device="cpu",
    )
    if job.first:
        return replace(common, epochs=setting.dense_epochs, lr=0.01)
    if not job.flops_weight:
        return common
    return replace(
        common,
        gate_lr=10.0,
        argmax_epochs=(1 - job.sampled) * setting.epochs,
        flops_weight=job.flops_weight,
        flops_warmup_epochs=setting.epochs / 3,
    )


def run_job(job: Job, setting: Setting, runs: Path) -> dict[str, Any]:
    """Train and test one run, or return what it gave before."""
    folder = runs / job.name
    result_file = folder / "result.json"
    if result_file.exists():
        return json.loads(result_file.read_text())
    started = time.perf_counter()
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(job.seed)
    model = build(job.system, setting)
    if job.parent is not None:
        initialise(model, runs / job.parent.name / "model.pt")
    config = training_config(job, setting)
    data = clips(setting, "train"), clips(setting, "val")
    train(model, *data, config, folder / "model.pt", resume=True)
    test = evaluate(model, clips(setting, "test"), batch_size=60)
    sampled = test
    if model.config.gated:
        sampled = evaluate(model, clips(setting, "test"), batch_size=60, sampled=True)
    result = {
        "system": job.system,
        "seed": job.seed,
        "flops_weight": job.flops_weight,
        "first": job.first,
        "seconds": round(time.perf_counter() - started),
        "sampled": job.sampled,
        "test": test.to_dict(),
        "test_sampled": sampled.to_dict(),
    }
    write_text(result_file, json_text(result, indent=1))
    return result


def build(system: str, setting: Setting) -> VideoRecognizer:
    """Return a system's network with random weights: ResNet-18 with an eighth of the channels."""
    gates: dict[str, Any] = {}
    if system.startswith("adafuse"):
        gates = {"gate_hidden": 64, "gate_quota": 0, "shared_policy": False}
    config = model_config(
        f"{system}_resnet18",
        num_classes=len(CLASS_NAMES),
        class_names=CLASS_NAMES,
        width=setting.width,
        dropout=0.0,
        shift_place="convolutions",  # alike with gates and without
        preprocessing=setting.preprocessing,
        **gates,
    )
    return VideoRecognizer(config)


def run_all(jobs: list[Job], setting: Setting, runs: Path, count: int) -> list[dict[str, Any]]:
    """Run ``jobs`` in ``count`` processes, each after its parent; return their results in order."""
    waiting, results = list(jobs), {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        running: dict[Future, Job] = {}
        while waiting or running:
            ready = [job for job in waiting if job.parent is None or job.parent in results]
            for job in ready[: max(0, count - len(running))]:
                waiting.remove(job)
                running[pool.submit(run_job, job, setting, runs)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                results[job] = result = future.result()
                print(
                    f"[{len(results)}/{len(jobs)}] {job.name}: top-1 {result['test']['top1']:.1f} %"
                    f" at {100 * result['test']['relative_flops']:.0f} % of the FLOPs"
                    f" ({result['seconds']} s)",
                    flush=True,
                )
    return [results[job] for job in jobs]


def main() -> None:
    """Parse the command line, train what is missing and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduction"))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reproduction"))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--quick", action="store_true", help="a minute's run that shows that the script works"
    )
    arguments = parser.parse_args()
    setting = QUICK if arguments.quick else Setting()
    jobs = all_jobs(SEEDS[:1] if arguments.quick else SEEDS)
    results = run_all(jobs, setting, arguments.runs, arguments.processes)
    report = write_report(results, GATING, setting, arguments.output)
    print(f"Wrote {report}; read it for what holds and what does not.")


if __name__ == "__main__":
    sys.exit(main())

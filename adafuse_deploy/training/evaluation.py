"""Evaluation within training: a network in PyTorch, on one process or several."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, Subset

from adafuse_deploy.core.finite import check_logits
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.evaluation.tally import Tally, check_some
from adafuse_deploy.models.forward import Decide
from adafuse_deploy.models.gate import argmax
from adafuse_deploy.models.gate import sampled as sampled_policies
from adafuse_deploy.models.recognizer import VideoRecognizer


def evaluate(
    model: VideoRecognizer,
    dataset: Dataset,
    *,
    sampled: bool = False,
    seed: int = 0,
    batch_size: int = 32,
    workers: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Measure ``model``, where it is, on a set of (frames (T, 3, H, W), label) pairs.

    Under torch.distributed every process takes a part of the set and all return the same result.

    Args:
        model: the network.
        dataset: clips as evaluation sees them, not augmented.
        sampled: draw policies from their distribution as the paper's evaluation did, instead of
            the argmax of deployment.
        seed: of that sampling.
        batch_size: clips at a time.
        workers: processes that load data.
        progress: show how far it is on standard error.

    Raises:
        InputError: the set is empty, or a label is not one of the network's classes.
        NotFiniteError: the network answers NaN or infinity.
    """
    size = len(dataset)  # type: ignore[arg-type]
    check_some(size)
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    generator = torch.Generator().manual_seed(seed * processes + rank)
    decide: Decide = sampled_policies(generator) if sampled else argmax
    part = Subset(dataset, range(rank, size, processes))
    loader: DataLoader = DataLoader(part, batch_size, num_workers=workers)
    config = model.config
    tally = Tally(model.layers(), model.gate_names(), config.num_classes, config.num_segments)
    for frames, labels in show_progress(
        loader, "evaluating", show=progress and rank == 0, unit="batches"
    ):
        prediction = model.predict(frames, decide)
        check_logits(prediction.logits, "PyTorch")
        tally.add_clips(prediction)
        tally.add_videos(prediction.logits, np.asarray(labels))
    if dist.is_initialized():
        device = next(model.parameters()).device
        total = torch.from_numpy(tally.counts).to(device)
        dist.all_reduce(total)
        tally.counts = total.cpu().numpy()
    return tally.result()

"""Accuracy, FLOPs and policy mix of a network on a labelled set; used by every verb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, Subset

from adafuse_deploy.engines.finite import check_logits
from adafuse_deploy.errors import InputError
from adafuse_deploy.macs import Layer, dense_macs, official_gflops
from adafuse_deploy.models.forward import Decide
from adafuse_deploy.models.gate import argmax
from adafuse_deploy.models.gate import sampled as sampled_policies
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.prediction import KEEP, REUSE, SKIP, Prediction
from adafuse_deploy.progress import progress as show_progress


@dataclass(frozen=True)
class PolicyMix:
    """Shares of the actions among all decisions of one gate, or of all gates; they sum to one."""

    name: str
    skip: float
    reuse: float
    keep: float


_RENAMED = {"gflops": "gmacs", "dense_gflops": "dense_gmacs"}
"""What figures were called in version 0.1.0."""


@dataclass(frozen=True)
class Evaluation:
    """How a network did on a set of clips.

    Attributes:
        clips: how many there were.
        top1, top5: accuracies in per cent.
        gmacs: billions of multiply-accumulates per clip under the policies, the policy networks'
            own included; papers call them GFLOPs.
        dense_gmacs: the same of the network without gates.
        official_gflops: per *frame*, as the public code reports and counts them, see
            :func:`adafuse_deploy.macs.official_gflops`.
        overall: mix of all decisions; None for a dense network.
        gates: mix per gate, in network order.
    """

    clips: int
    top1: float
    top5: float
    gmacs: float
    dense_gmacs: float
    official_gflops: float
    overall: PolicyMix | None
    gates: tuple[PolicyMix, ...]

    @property
    def relative_flops(self) -> float:
        """``gmacs`` as a share of ``dense_gmacs``."""
        return self.gmacs / self.dense_gmacs

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and checkpoints."""
        values = {**asdict(self), "relative_flops": self.relative_flops}
        return {**values, "gates": list(values["gates"])}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Rebuild an evaluation from :meth:`to_dict`, of version 0.1.0 too.

        What a file does not record, ``official_gflops``, is NaN.
        """
        renamed = {_RENAMED.get(name, name): value for name, value in values.items()}
        values = {"official_gflops": float("nan"), **renamed}
        values.pop("relative_flops")
        if values["overall"] is not None:
            values["overall"] = PolicyMix(**values["overall"])
        return cls(**{**values, "gates": tuple(PolicyMix(**gate) for gate in values["gates"])})


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
    if size == 0:
        raise InputError("There are no clips to evaluate; check the list.")
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    generator = torch.Generator().manual_seed(seed * processes + rank)
    decide: Decide = sampled_policies(generator) if sampled else argmax
    part = Subset(dataset, range(rank, size, processes))
    loader: DataLoader = DataLoader(part, batch_size, num_workers=workers)
    gates = _gate_names(model)
    # clips, top-1 and top-5 hits, multiply-accumulates, official GFLOPs; then three counts of
    # actions per gate.
    sums = torch.zeros(5 + 3 * len(gates), dtype=torch.float64)
    for frames, labels in show_progress(
        loader, "evaluating", show=progress and rank == 0, unit="batches"
    ):
        labels = np.asarray(labels)
        if labels.min() < 0 or labels.max() >= model.config.num_classes:
            raise InputError(
                f"A clip has label {labels.max()}, but the network knows {model.config.num_classes}"
                " classes counting from 0; evaluate it on the data set it was trained for."
            )
        layers = model.layers(frames.shape[-1])
        prediction = model.predict(frames, decide)
        check_logits(prediction.logits, "PyTorch")
        sums += torch.from_numpy(_count(prediction, labels, layers))
    if dist.is_initialized():
        device = next(model.parameters()).device
        total = sums.to(device)
        dist.all_reduce(total)
        sums = total.cpu()
    return _summary(model, sums.numpy(), gates)


def _count(prediction: Prediction, labels: np.ndarray, layers: Sequence[Layer]) -> np.ndarray:
    hits = prediction.top(5) == labels[:, None]
    actions = [
        [np.count_nonzero(policy == action) for action in (SKIP, REUSE, KEEP)]
        for policy in prediction.policies
    ]
    official = np.broadcast_to(official_gflops(layers, prediction.policies), len(labels))
    clips = [len(labels), hits[:, 0].sum(), hits.sum(), prediction.macs.sum(), official.sum()]
    return np.array([*clips, *np.ravel(actions)], np.float64)


def _summary(model: VideoRecognizer, sums: np.ndarray, gates: list[str]) -> Evaluation:
    clips, top1, top5, macs, official = sums[:5]
    counts = sums[5:].reshape(-1, 3)
    config = model.config
    return Evaluation(
        clips=int(clips),
        top1=float(100 * top1 / clips),
        top5=float(100 * top5 / clips),
        gmacs=float(macs / clips / 1e9),
        dense_gmacs=dense_macs(model.layers(), config.num_segments) / 1e9,
        official_gflops=float(official / clips),
        overall=_mix("all", counts.sum(0)) if gates else None,
        gates=tuple(_mix(name, count) for name, count in zip(gates, counts, strict=True)),
    )


def _mix(name: str, counts: np.ndarray) -> PolicyMix:
    skip, reuse, keep = (counts / counts.sum()).tolist()
    return PolicyMix(name, skip, reuse, keep)


def _gate_names(model: VideoRecognizer) -> list[str]:
    """Return the gates' names in network order, without the backbone's prefix."""
    return [name.removeprefix("backbone.") for name in model.gate_names()]

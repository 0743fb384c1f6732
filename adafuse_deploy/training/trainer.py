"""The training loop: one process, or several started by ``torchrun``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import dense_macs
from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.models.checkpoint import first_not_finite, load_weights, save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.training.config import TrainingConfig
from adafuse_deploy.training.distributed import Processes, processes
from adafuse_deploy.training.evaluation import evaluate
from adafuse_deploy.training.losses import FlopsLoss, relative_flops
from adafuse_deploy.training.optimizer import clipped_together, make_optimizer
from adafuse_deploy.training.policy_gradient import SampledPolicies
from adafuse_deploy.training.run_files import Row, RunFiles
from adafuse_deploy.training.schedule import (
    changed_length,
    flops_weight,
    is_candidate,
    learning_rate,
    straight_through_policies,
    temperature,
)

_CHECKED_STEPS = 50  # between two looks at the loss, which has to come from the device for it


@dataclass(frozen=True)
class TrainingResult:
    """What a run made.

    Attributes:
        checkpoint: the network of the chosen epoch.
        log: one line per epoch, CSV.
        epoch: the chosen epoch, from 1.
        evaluation: that network on the validation set.
    """

    checkpoint: Path
    log: Path
    epoch: int
    evaluation: Evaluation


def train(
    model: VideoRecognizer,
    train_set: Dataset,
    val_set: Dataset,
    config: TrainingConfig,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    notes: dict[str, Any] | None = None,
    report: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Train ``model`` and keep one epoch's network in ``out``.

    An epoch's randomness depends on the seed, the epoch and the process alone, and the state is
    saved after every epoch.  So a run that was interrupted and resumed ends as one that was not;
    on a CPU, bit for bit.  Under ``torchrun`` every process takes a part of each batch, gradients
    are averaged, and process 0 writes.

    Args:
        model: the network; trained in place, on ``config.device``.
        train_set: (frames (T, 3, H, W), label) pairs; its ``set_epoch``, if it has one, is told
            the epoch so that augmentation differs between epochs.
        val_set: the same without augmentation.
        config: how to train.
        out: the checkpoint; the other files stand beside it, see
            :class:`~adafuse_deploy.training.run_files.RunFiles`.
        resume: go on from the saved state if there is one; with more epochs than the run had
            before, if ``config`` says so (``report`` is told what the schedule makes of it).
        overwrite: replace a run that is there.
        progress: show how far it is on standard error.
        notes: more entries for the checkpoint, such as the command line.
        report: called with a line of text after every epoch, in process 0.

    Raises:
        InputError: ``out`` exists and is neither to be resumed nor overwritten, the saved state
            belongs to another run, the training set has fewer clips than a batch, or a file cannot
            be written.
        NotFiniteError: the loss, the weights or the logits are no longer finite; what was written
            before stays.
        MissingDependencyError: TensorBoard was asked for and is not installed.
    """
    files = RunFiles(out)
    files.check(resume=resume, overwrite=overwrite)
    with processes(config.device) as group:
        run = _Run(model, train_set, config, files, group, notes or {})

        def tell(line: str) -> None:
            if report is not None and group.first:
                report(line)

        start = run.resume(tell) if resume else 0
        if overwrite and group.first:
            files.clear()
        for epoch in range(start, config.epochs):
            started = time.perf_counter()
            losses = run.train_epoch(epoch, progress)
            result = run.evaluate(epoch, val_set, progress)
            run.finish_epoch(epoch, losses, result, time.perf_counter() - started)
            tell(_line(epoch, config.epochs, losses, result))
        assert run.best is not None
        return TrainingResult(files.checkpoint, files.log, run.best.epoch, run.best.evaluation)


@dataclass(frozen=True)
class _Losses:
    """Means over an epoch."""

    loss: float
    cross_entropy: float
    flops: float


@dataclass(frozen=True)
class _Best:
    epoch: int
    candidate: bool
    evaluation: Evaluation

    @property
    def rank(self) -> tuple[bool, float, float]:
        return self.candidate, self.evaluation.top1, -self.evaluation.gmacs


class _Run:
    """The moving parts of a training run."""

    def __init__(
        self,
        model: VideoRecognizer,
        train_set: Dataset,
        config: TrainingConfig,
        files: RunFiles,
        group: Processes,
        notes: dict[str, Any],
    ) -> None:
        self.model, self.train_set, self.config = model.to(group.device), train_set, config
        self.files, self.group, self.notes = files, group, notes
        self.rows: list[Row] = []
        self.best: _Best | None = None
        self.batch_size, rest = divmod(config.batch_size, group.count)
        if rest:
            raise InputError(
                f"A batch of {config.batch_size} cannot be divided over {group.count} processes; "
                "choose a multiple."
            )
        self.network: nn.Module = self.model
        if group.count > 1:
            devices = [group.device] if group.device.type == "cuda" else None
            self.network = DistributedDataParallel(self.model, devices)
        self.optimizer = make_optimizer(self.model, config)
        self.clipped = clipped_together(self.model, config)
        gmacs = dense_macs(self.model.layers(), 1) / 1e9
        self.flops_unit = gmacs if config.flops_unit == "gmacs" else 1.0
        # bfloat16 has float32's range; only float16 needs the loss scaled.
        kind = group.device.type
        bfloat = kind != "cuda" or torch.cuda.is_bf16_supported()
        self.precision = torch.bfloat16 if bfloat else torch.float16
        self.scaler = torch.amp.GradScaler(kind, enabled=config.amp and not bfloat)
        self.sampler: DistributedSampler = DistributedSampler(
            train_set, group.count, group.rank, seed=config.seed
        )
        self.loader: DataLoader = DataLoader(
            train_set,
            self.batch_size,
            sampler=self.sampler,
            num_workers=config.workers,
            drop_last=True,
            pin_memory=kind == "cuda",
        )
        if not len(self.loader):
            raise InputError(
                f"The training set has {len(train_set)} clips, fewer than a batch of "  # type: ignore[arg-type]
                f"{config.batch_size}; lower --batch-size or list more."
            )

    @property
    def identity(self) -> dict[str, dict[str, Any]]:
        """What must not change between a run and its continuation."""
        return {"model": _identity(self.model.config), "training": self.config.identity()}

    def resume(self, tell: Callable[[str], None]) -> int:
        """Take up the saved state, if any; return the epoch to go on with."""
        state = self.files.read_state()
        if state is None:
            return 0
        recorded = state["identity"]
        self.files.check_identity(
            {
                "model": _identity(ModelConfig.from_dict(recorded["model"])),
                "training": TrainingConfig.recorded_identity(recorded["training"]),
            },
            self.identity,
        )
        done, epochs = len(state["rows"]), self.config.epochs
        planned = state["epochs"] if "epochs" in state else recorded["training"]["epochs"]
        if epochs < done:
            raise InputError(
                f"{self.files.state} has finished {done} epochs already; ask for at least as many, "
                "or start anew with another -o/--output."
            )
        if epochs != planned:
            tell(changed_length(self.config, planned, done))
        load_weights(self.model, state["model"], str(self.files.state))
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.rows = [
            {"gmacs" if name == "gflops" else name: value for name, value in row.items()}
            for row in state["rows"]  # version 0.1.0 wrote gflops
        ]
        best = state["best"]
        self.best = _Best(best["epoch"], best["candidate"], Evaluation.from_dict(best["result"]))
        return done

    def train_epoch(self, epoch: int, progress: bool) -> _Losses:
        """Pass once over the training set."""
        entropy = (self.config.seed, epoch, self.group.rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        self.sampler.set_epoch(epoch)
        if hasattr(self.train_set, "set_epoch"):
            self.train_set.set_epoch(epoch)
        self.model.train()
        steps = len(self.loader)
        total = torch.zeros(3, device=self.group.device)
        label = f"epoch {epoch + 1}/{self.config.epochs}"
        for step, (frames, labels) in enumerate(
            show_progress(self.loader, label, show=progress and self.group.first, unit="batches")
        ):
            total += self._step(frames, labels, epoch + step / steps)
            if step % _CHECKED_STEPS == 0:
                self._require(bool(total[0].isfinite()), "the loss", epoch)
        self._require(bool(total[0].isfinite()), "the loss", epoch)
        name = first_not_finite(self.model.state_dict())
        self._require(name is None, f"the weights ({name})", epoch)
        return _Losses(*(total / steps).tolist())

    def evaluate(self, epoch: int, val_set: Dataset, progress: bool) -> Evaluation:
        """Measure the network on the validation set."""
        try:
            return evaluate(
                self.model,
                val_set,
                batch_size=self.batch_size,
                workers=self.config.workers,
                progress=progress,
            )
        except NotFiniteError as error:
            raise self._breakdown("the logits", epoch) from error

    def _require(self, finite: bool, what: str, epoch: int) -> None:
        """Stop, in all processes alike, unless ``what`` is finite in each."""
        if self.group.count > 1:
            flag = torch.tensor(float(finite), device=self.group.device)
            dist.all_reduce(flag, dist.ReduceOp.MIN)
            finite = bool(flag)
        if not finite:
            raise self._breakdown(what, epoch)

    def _breakdown(self, what: str, epoch: int) -> NotFiniteError:
        config, best = self.config, self.best
        harder = f"below {config.clip_norm:g}" if config.clip_norm else "at all"
        precision = ", train in float32 (--no-amp)" if config.amp else ""
        kept = "Nothing was written"
        if best is not None:
            kept = (
                f"{self.files.checkpoint} keeps the network of epoch {best.epoch}, which a new run "
                "can start from (--init)"
            )
        return NotFiniteError(
            f"In epoch {epoch + 1} {what} became infinite or NaN: lower the learning rate (--lr, "
            f"now {config.lr:g}) or lengthen its warm-up, clip gradients {harder} (clip_norm in a "
            f"recipe){precision}. {kept}."
        )

    def _step(self, frames: Tensor, labels: Tensor, epoch: float) -> Tensor:
        """Make one step; return its loss, cross-entropy and relative FLOPs."""
        config, device = self.config, self.group.device
        frames, labels = frames.to(device, non_blocking=True), labels.to(device)
        sample = SampledPolicies() if config.estimator == "reinforce" else None
        with torch.autocast(device.type, self.precision, enabled=config.amp):
            output = self.network(frames, sample or straight_through_policies(config, epoch))
        costs = F.cross_entropy(output.logits.float(), labels, reduction="none")
        cross_entropy = loss = costs.mean()
        flops = torch.ones((), device=device)
        if output.policies:
            mode: FlopsLoss = config.flops_loss  # type: ignore[assignment]
            clip_flops = relative_flops(self.model.layers(), output.policies, mode)
            weighted = flops_weight(config, epoch) * self.flops_unit * clip_flops
            flops = clip_flops.mean()
            loss = loss + (
                weighted.mean() if sample is None else sample.loss(costs.detach() + weighted)
            )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, epoch) * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if config.clip_norm:
            self.scaler.unscale_(self.optimizer)
            for parameters in self.clipped:
                nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return torch.stack([loss.detach(), cross_entropy.detach(), flops.detach()])

    def finish_epoch(self, epoch: int, losses: _Losses, result: Evaluation, seconds: float) -> None:
        """Log the epoch, keep its network if it is the best so far, and save the state."""
        row = _row(self.config, epoch, losses, result, seconds)
        self.rows.append(row)
        entry = _Best(epoch + 1, is_candidate(self.config, epoch), result)
        better = self.best is None or self.config.keep == "last" or entry.rank > self.best.rank
        if better:
            self.best = entry
        assert self.best is not None
        if not self.group.first:
            return
        if better:
            save_checkpoint(
                self.model,
                self.files.checkpoint,
                training=self.config.to_dict(),
                epoch=entry.epoch,
                evaluation=result.to_dict(),
                **self.notes,
            )
        self.files.write_log(self.rows)
        if self.config.tensorboard:
            self.files.write_events(row)
        best = self.best
        self.files.write_state(
            {
                "identity": self.identity,
                "epochs": self.config.epochs,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "rows": self.rows,
                "best": {
                    "epoch": best.epoch,
                    "candidate": best.candidate,
                    "result": best.evaluation.to_dict(),
                },
            }
        )


def _identity(config: ModelConfig) -> dict[str, Any]:
    """Return what of a configuration decides over the result."""
    return replace(config, frame_spacing=None).to_dict()


def _row(
    config: TrainingConfig, epoch: int, losses: _Losses, result: Evaluation, seconds: float
) -> Row:
    row: Row = {
        "epoch": epoch + 1,
        "seconds": seconds,
        "lr": learning_rate(config, epoch),
        "temperature": temperature(config, epoch),
        "flops_weight": flops_weight(config, epoch),
        "loss": losses.loss,
        "cross_entropy": losses.cross_entropy,
        "train_relative_flops": losses.flops,
        "top1": result.top1,
        "top5": result.top5,
        "gmacs": result.gmacs,
        "relative_flops": result.relative_flops,
    }
    mixes = [] if result.overall is None else [result.overall, *result.gates]
    for mix in mixes:
        for action in ("skip", "reuse", "keep"):
            row[f"{mix.name}/{action}"] = getattr(mix, action)
    return row


def _line(epoch: int, epochs: int, losses: _Losses, result: Evaluation) -> str:
    line = (
        f"epoch {epoch + 1}/{epochs}: loss {losses.loss:.3f}, "
        f"top-1 {result.top1:.1f} %, {result.gmacs:.4g} GMACs per clip "
        f"({100 * result.relative_flops:.0f} %)"
    )
    mix = result.overall
    if mix is None:
        return line
    return f"{line}, skip/reuse/keep {mix.skip:.2f}/{mix.reuse:.2f}/{mix.keep:.2f}"

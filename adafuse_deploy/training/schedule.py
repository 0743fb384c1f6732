"""How learning rate, policies and FLOPs weight change over training."""

from __future__ import annotations

import math
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.models.gate import Decide, gumbel
from adafuse_deploy.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, epoch: float) -> float:
    """Return the learning rate at ``epoch`` (fractional, from 0).

    It rises linearly during ``warmup_epochs``; then it is ``lr`` times ``lr_decay`` for every one
    of ``lr_steps`` already passed, or half a cosine down to zero at the last epoch.
    """
    if epoch < config.warmup_epochs:
        return config.lr * (epoch + 0.01) / (config.warmup_epochs + 0.01)
    if config.lr_schedule == "step":
        return config.lr * config.lr_decay ** sum(epoch >= step for step in config.lr_steps)
    return config.lr * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))


def temperature(config: TrainingConfig, epoch: float) -> float:
    """Return the Gumbel-softmax temperature: exponential decay per epoch from ``temperature``."""
    return config.temperature * config.temperature_decay ** int(epoch)


def flops_weight(config: TrainingConfig, epoch: float) -> float:
    """Return the weight of the FLOPs term, which rises linearly over ``flops_warmup_epochs``."""
    if epoch >= config.flops_warmup_epochs:
        return config.flops_weight
    return config.flops_weight * epoch / config.flops_warmup_epochs


def straight_through_policies(config: TrainingConfig, epoch: float) -> Decide:
    """Return how gates decide at ``epoch``: Gumbel-softmax, and argmax in the last epochs.

    Both are one-hot forward and have the gradient of a softmax at the epoch's temperature.
    """
    if epoch < config.epochs - config.argmax_epochs:
        return gumbel(temperature(config, epoch))

    def decide(logits: Tensor) -> Tensor:
        soft = F.softmax(logits / temperature(config, epoch), -1)
        hard = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(soft.dtype)
        return hard + soft - soft.detach()

    return decide


def changed_length(config: TrainingConfig, planned: int, done: int) -> str:
    """Return in a sentence how a run goes on that gets another length while under way.

    Args:
        config: with the new number of epochs.
        planned: the number of epochs so far.
        done: epochs that are finished.
    """
    old = replace(config, epochs=planned)
    effects = []
    if config.lr_schedule == "cosine":
        rates = f"{learning_rate(old, done):.2g}, is {learning_rate(config, done):.2g}"
        effects.append(
            f"the cosine ends at epoch {config.epochs}, and the learning rate, which had come to "
            f"{rates} again"
        )
    sampled, planned_sampled = (
        epochs - config.argmax_epochs for epochs in (config.epochs, planned)
    )
    if config.argmax_epochs and max(sampled, planned_sampled) > done:
        effects.append(f"policies are sampled up to epoch {max(sampled, done):g}")
    what = "; ".join(effects) or "as a run of that length would have from its start"
    return f"Going on after epoch {done} to epoch {config.epochs} instead of {planned}: {what}."


def is_candidate(config: TrainingConfig, epoch: int) -> bool:
    """Return whether all of ``epoch`` trained the final objective: λ risen, policies as at the end.

    Before that, accuracy is bought with FLOPs that the final network will not spend.
    """
    if config.argmax_epochs and epoch < config.epochs - config.argmax_epochs:
        return False
    return epoch >= config.flops_warmup_epochs

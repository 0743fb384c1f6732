"""Parameters by kind, as TSN's and AdaFuse's code group them for the optimizer.

Weights of convolutions and linear layers are decayed; their biases, and the scales and shifts of
normalisations, are not; biases learn at twice the rate (``get_optim_policies`` of the public code).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from adafuse_deploy.models.gate import PolicyNetwork
from adafuse_deploy.training.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer of ``model``.

    Its groups carry ``factor``, which a schedule multiplies the learning rate by.
    """
    groups = parameter_groups(model, config)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, config.lr)
    return torch.optim.SGD(groups, config.lr, momentum=config.momentum)


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Return the trained parameters in groups of equal treatment.

    Returns:
        Dictionaries of ``params``, ``factor`` (on the learning rate) and ``weight_decay``.
    """
    gates = _gate_parameters(model)
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen:  # a linear layer that policy networks share
                continue
            seen.add(parameter)
            factor, decay = _treatment(module, name, config)
            gated = parameter in gates
            factor *= config.gate_lr if gated else 1.0
            groups.setdefault((gated, factor, decay), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": decay * config.weight_decay}
        for (_, factor, decay), parameters in groups.items()
    ]


def clipped_together(model: nn.Module, config: TrainingConfig) -> list[list[nn.Parameter]]:
    """Return the parameters whose gradients share one norm that ``clip_norm`` limits."""
    if not config.clip_apart:
        return [list(model.parameters())]
    gates = _gate_parameters(model)
    rest = [parameter for parameter in model.parameters() if parameter not in gates]
    return [group for group in (rest, list(gates)) if group]


def _treatment(module: nn.Module, name: str, config: TrainingConfig) -> tuple[float, float]:
    """Return the factors on learning rate and weight decay."""
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return 1.0, config.norm_decay
    if name.startswith("bias"):  # an LSTM has bias_ih_l0 and bias_hh_l0
        return config.bias_lr, config.bias_decay
    return 1.0, 1.0


def _gate_parameters(model: nn.Module) -> dict[nn.Parameter, None]:
    """Return the parameters of all policy networks, in network order."""
    networks = (module for module in model.modules() if isinstance(module, PolicyNetwork))
    return {parameter: None for network in networks for parameter in network.parameters()}

"""Everything that defines a training run besides the network and the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.training.losses import FLOPS_LOSSES

_CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "lr_schedule": ("step", "cosine"),
    "estimator": ("gumbel", "reinforce"),
    "flops_loss": FLOPS_LOSSES,
    "flops_unit": ("dense", "gmacs"),
    "keep": ("best", "last"),
}
# What may differ between a run and its continuation: it does not change the result, or, like
# ``epochs``, the run itself sees to it.
_FREE = ("workers", "device", "tensorboard", "epochs")
# Settings that version 0.1.0 did not know and what it did; states of its runs can be resumed.
_BEFORE = {
    "bias_lr": 1.0,
    "bias_decay": 1.0,
    "norm_decay": 1.0,
    "clip_apart": True,
    "flops_unit": "dense",
}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are what all scripts of the public AdaFuse code have in common.

    What they set by data set and network (learning rate, weight decay, FLOPs term) is in
    ``adafuse_deploy/recipes``.

    Attributes:
        epochs: passes over the training set.
        batch_size: clips per step, over all processes together.
        optimizer: "sgd" (with momentum) or "adamw".
        lr: learning rate after warm-up.
        momentum, weight_decay: of the optimizer (AdamW ignores momentum).
        bias_lr: factor on the learning rate of the biases of convolutions and linear layers.
        bias_decay: factor on the weight decay of those biases.
        norm_decay: factor on the weight decay of normalisations' scales and shifts.
        gate_lr: factor on the learning rate of the policy networks.
        lr_schedule: "step" or "cosine".
        lr_steps, lr_decay: epochs at which a step schedule multiplies the rate by ``lr_decay``.
        warmup_epochs: linear rise of the learning rate.
        clip_norm: largest gradient norm; 0 for none.
        clip_apart: clip the policy networks' gradients apart from the rest, each to ``clip_norm``.
        estimator: gradients of the policies: "gumbel" (straight-through Gumbel-softmax) or
            "reinforce".
        temperature: of the Gumbel-softmax at the start.
        temperature_decay: factor on it per epoch.
        argmax_epochs: train the last so many epochs under the argmax policies of deployment, with
            straight-through gradients and without sampling.  The paper samples to the end, and
            in its evaluation too; argmax then meets activations it was not trained on.
        flops_loss: "real" or "upb", see :data:`adafuse_deploy.training.losses.FlopsLoss`.
        flops_weight: λ, the weight of the FLOPs term.
        flops_unit: what λ is multiplied with: "dense", the FLOPs as a share of those of the network
            without gates (0...1), or "gmacs", billions of multiply-accumulates per frame, as in the
            public code (``--gate_gflops_loss_weight``).
        flops_warmup_epochs: linear rise of λ.
        keep: the epoch that makes the checkpoint: "best" by validation top-1 (ties: fewer FLOPs)
            among those that trained the final objective, or "last".
        seed: of weights, data order, augmentation, dropout and sampling.
        workers: processes that load data.
        amp: mixed precision (``torch.autocast``).
        device: "cpu", "cuda", "cuda:1", ...; empty for CUDA where there is one, else the CPU.
        tensorboard: write TensorBoard events beside the CSV log.
    """

    epochs: int = 50
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_lr: float = 2.0
    bias_decay: float = 0.0
    norm_decay: float = 0.0
    gate_lr: float = 1.0
    lr_schedule: str = "step"
    lr_steps: tuple[int, ...] = (20, 40)
    lr_decay: float = 0.1
    warmup_epochs: float = 0
    clip_norm: float = 20.0
    clip_apart: bool = False
    estimator: str = "gumbel"
    temperature: float = 0.67
    temperature_decay: float = 1.0
    argmax_epochs: float = 0
    flops_loss: str = "real"
    flops_weight: float = 0.0
    flops_unit: str = "dense"
    flops_warmup_epochs: float = 0
    keep: str = "best"
    seed: int = 0
    workers: int = 0
    amp: bool = False
    device: str = ""
    tensorboard: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr_steps", tuple(self.lr_steps))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}."
                )
        for name in ("epochs", "batch_size", "lr", "gate_lr", "temperature", "temperature_decay"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be above zero, not {getattr(self, name)}.")

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide over the result."""
        return {name: value for name, value in self.to_dict().items() if name not in _FREE}

    @staticmethod
    def recorded_identity(values: dict[str, Any]) -> dict[str, Any]:
        """Return what :meth:`identity` gave, whichever version recorded it."""
        known = {**_BEFORE, **values}
        return {name: value for name, value in known.items() if name not in _FREE}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {**asdict(self), "lr_steps": list(self.lr_steps)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Make a configuration from plain values, a recipe's ``training`` section for example.

        Raises:
            InputError: a name is unknown or a value impossible.
        """
        return cls(**check_settings("training", values, cls))


def check_settings(section: str, values: dict[str, Any], kind: type) -> dict[str, Any]:
    """Return ``values`` for the dataclass ``kind``, integers for its floats made floats.

    Raises:
        InputError: a name is none of its fields, or a value has another type than the field.
    """
    known = {field.name: str(field.type) for field in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"Unknown {section} settings {', '.join(unknown)}; there are {', '.join(known)}."
        )
    return {name: _typed(name, value, known[name]) for name, value in values.items()}


_TYPES = {"int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false"}


def _typed(name: str, value: Any, kind: str) -> Any:
    """Return ``value`` as the type with the annotation ``kind``."""
    if kind.startswith("tuple["):
        item = kind.removeprefix("tuple[").partition(",")[0]
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{name} must be a list, not {value!r}.")
        return tuple(_typed(f"an entry of {name}", entry, item) for entry in value)
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != kind:
        hint = " (YAML takes 1e-3 for a word: write 1.0e-3)" if kind == "float" else ""
        raise InputError(f"{name} must be {_TYPES[kind]}, not {value!r}{hint}.")
    return value

"""Recipes: a YAML file that says which network to train on what and how.

    base: published.yaml            # optional: a recipe beside this one that it builds on
    model:
      name: adafuse_tsm_resnet50    # a registered model; other entries are fields of ModelConfig
      size: 224
    data:
      dataset: somethingv1          # a public data set, "synthetic", or left out for own lists
    training:
      epochs: 50                    # fields of TrainingConfig
    networks:
      adafuse_*:                    # training settings for models whose name fits the pattern;
        flops_weight: 0.125         # of several that fit, later ones come on top

What a recipe leaves out has the defaults of the classes below.  The recipes in
``adafuse_deploy/recipes`` are found by their names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.catalog import DATASETS
from adafuse_deploy.models.registry import model_config
from adafuse_deploy.training.config import TrainingConfig, check_settings

SYNTHETIC = "synthetic"
_SHIPPED = Path(__file__).parents[1] / "recipes"
_SECTIONS = ("model", "data", "training", "networks")


@dataclass(frozen=True)
class DataConfig:
    """What to train on, and how clips vary.

    Attributes:
        dataset: a name in :data:`adafuse_deploy.data.catalog.DATASETS`, "synthetic" for procedural
            videos, or empty for the user's own lists.
        source_rate: frames a second of folders of images, which tell no time; 0 where unknown, or
            where the catalog knows it.
        scales: sides of the random crops relative to the frame's short side.
        flip: "none", "free" or "mirrored", see :func:`adafuse_deploy.data.flips.flip_rule`;
            "auto" for what the paper does on ``dataset``, and "none" on any other.
        train_clips, val_clips: how many procedural videos.
        drawn_size: side of their frames, in pixels.
        drawn_frames: their length.
        drawn_seed: of the training videos; the validation videos have the next one.
    """

    dataset: str = ""
    source_rate: float = 0.0
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    flip: str = "auto"
    train_clips: int = 4800
    val_clips: int = 600
    drawn_size: int = 64
    drawn_frames: int = 24
    drawn_seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        if self.dataset and self.dataset not in (*DATASETS, SYNTHETIC):
            raise InputError(
                f"There is no data set {self.dataset!r}; choose one of "
                f"{', '.join((*DATASETS, SYNTHETIC))}, or give your own lists."
            )
        if self.source_rate < 0:
            raise InputError(f"source_rate is frames a second, not {self.source_rate}.")

    @property
    def flip_kind(self) -> str:
        """``flip`` with "auto" resolved."""
        if self.flip != "auto":
            return self.flip
        return DATASETS[self.dataset].flip if self.dataset in DATASETS else "none"


# Without a recipe: a network small enough to train from nothing on a CPU.
_SMALL_MODEL = {
    "name": "adafuse_tsm_resnet18",
    "size": 64,
    "width": 0.25,
    "gate_hidden": 64,
    "gate_quota": 0,
    "shared_policy": False,
    "dropout": 0.1,
}
_SMALL_TRAINING = TrainingConfig(
    epochs=12,
    batch_size=32,
    lr=0.03,
    lr_schedule="cosine",
    warmup_epochs=0.5,
    bias_lr=1.0,
    bias_decay=1.0,
    norm_decay=1.0,
    gate_lr=5.0,
    clip_norm=5.0,
    clip_apart=True,
    flops_weight=0.5,
    flops_warmup_epochs=6,
    argmax_epochs=12,
)


@dataclass(frozen=True)
class Recipe:
    """What to train.

    Attributes:
        model: ``name`` and ``size`` of a registered model, and fields of ModelConfig.
        data: what to train on.
        training: how.
    """

    model: dict[str, Any] = field(default_factory=lambda: dict(_SMALL_MODEL))
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=lambda: _SMALL_TRAINING)

    def model_config(self, **overrides: Any) -> ModelConfig:
        """Return the network's configuration.

        Args:
            overrides: fields of ModelConfig that the data decides, such as ``num_classes``.

        Raises:
            InputError: the model has no such name, field or combination.
        """
        values = {**self.model, **overrides}
        known = {"name", "size", *(f.name for f in fields(ModelConfig))}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(
                f"Unknown model settings {', '.join(unknown)}; there are "
                f"{', '.join(sorted(known))}."
            )
        if "name" not in values:
            raise InputError(
                "The model has no name; give one, such as --model adafuse_tsm_resnet50."
            )
        return model_config(values.pop("name"), **values)

    def override(
        self, model: dict[str, Any], data: dict[str, Any], training: dict[str, Any]
    ) -> Recipe:
        """Return a recipe in which the given settings replace this one's."""
        return Recipe(
            model={**self.model, **model},
            data=replace(self.data, **data),
            training=replace(self.training, **training),
        )


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that :func:`load_recipe` finds without a path."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_recipe(recipe: str | os.PathLike[str], model: str | None = None) -> Recipe:
    """Read a recipe.

    Args:
        recipe: a file, or the name of a shipped recipe, such as "somethingv1".
        model: name of the model, in place of the recipe's own.

    Raises:
        InputError: the file is missing, is not YAML, or has unknown sections or settings.
    """
    if model is not None:
        model_config(model)  # so that a wrong name is not taken for the recipe's fault
    path = Path(recipe)
    if not path.is_file() and str(recipe) in shipped_recipes():
        path = _SHIPPED / f"{recipe}.yaml"
    sections = _read(path)
    try:
        if model is not None:
            sections["model"] = {**sections["model"], "name": model}
        training = dict(sections["training"])
        for pattern, settings in sections["networks"].items():
            check_settings("training", _mapping(settings, str(pattern)), TrainingConfig)
            if fnmatchcase(str(sections["model"].get("name")), str(pattern)):
                training.update(settings)
        loaded = Recipe(
            sections["model"], _data(sections["data"]), TrainingConfig.from_dict(training)
        )
        loaded.model_config()
    except InputError as error:
        raise InputError(f"In the recipe {path}: {error}") from error
    return loaded


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, dict[str, Any]]:
    """Return a file's sections, those of its base beneath; ``above`` are files built on it."""
    if path.resolve() in above:
        raise InputError(f"The recipe {path} builds on itself; take its base out.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"Cannot read the recipe {path}: {error.strerror}; give a file, or one of "
            f"{', '.join(shipped_recipes())}."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The recipe {path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not set(content) <= {"base", *_SECTIONS}:
        raise InputError(
            f"The recipe {path} must have the sections {', '.join(_SECTIONS)} only, and base."
        )
    try:
        sections = {name: _mapping(content.get(name) or {}, name) for name in _SECTIONS}
    except InputError as error:
        raise InputError(f"In the recipe {path}: {error}") from error
    base = content.get("base")
    if base is None:
        return sections
    if not isinstance(base, str):
        raise InputError(f"In the recipe {path}: base is the name of a file, not {base!r}.")
    beneath = _read(path.parent / base, (*above, path.resolve()))
    return {name: {**beneath[name], **sections[name]} for name in _SECTIONS}


def _mapping(section: Any, name: str) -> dict[str, Any]:
    if not isinstance(section, dict):
        raise InputError(f"the section {name} must hold names and values.")
    return section


def _data(values: dict[str, Any]) -> DataConfig:
    return DataConfig(**check_settings("data", values, DataConfig))

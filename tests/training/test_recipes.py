"""Every recipe in the repository builds, and says what it claims to say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adafuse_deploy.data.catalog import DATASETS
from adafuse_deploy.errors import InputError
from adafuse_deploy.macs import dense_macs
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.training.recipe import Recipe, load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_builds(path):
    recipe = load_recipe(path)
    data = recipe.data.dataset
    assert path.stem == f"{data}_{recipe.model['name']}" or data == "synthetic"
    classes = DATASETS[data].num_classes if data in DATASETS else 12
    with torch.device("meta"):
        model = VideoRecognizer(recipe.model_config(num_classes=classes))
    assert model.config.gated == ("adafuse" in path.stem)
    if data != "synthetic":
        training = recipe.training
        assert (training.epochs, training.batch_size, training.lr_steps) == (50, 64, (20, 40))
        assert training.lr == (0.02 if "tsm" in path.stem else 0.01)
        assert (training.flops_weight > 0) == model.config.gated
    if model.config.gated and data != "synthetic":
        published = 0.075 if "last" in path.stem else 0.125  # per GFLOPs per frame
        per_frame = dense_macs(model.layers(), 1) / 1e9
        assert training.flops_weight == pytest.approx(published * per_frame, rel=2e-3)
        assert training.flops_loss == ("real" if "last" in path.stem else "upb")


def test_there_is_one_for_every_row_of_the_table():
    assert len(RECIPES) == 15


def test_flags_override_a_recipe():
    recipe = load_recipe(RECIPES[0]).override(
        model={"name": "tsn_resnet18"}, data={"flip": "free"}, training={"epochs": 2}
    )
    assert recipe.model_config().backbone == "resnet18"
    assert (recipe.data.flip, recipe.training.epochs, recipe.training.batch_size) == ("free", 2, 64)


def test_the_default_is_small():
    config = Recipe().model_config(num_classes=12)
    assert config.gated and config.width < 1 and config.preprocessing.crop <= 112


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1", "not valid YAML"),
        ("- 1", "sections model, data, training"),
        ("modle: {}", "sections model, data, training"),
        ("model: {}", "needs a name"),
        ("model: {name: resnet51}", "no model 'resnet51'"),
        ("model: {name: tsn_resnet18, hidden: 3}", "Unknown model settings hidden"),
        ("model: {name: tsn_resnet18}\ndata: {dataset: kinetics}", "no data set 'kinetics'"),
        ("model: {name: tsn_resnet18}\ndata: {crop: 3}", "Unknown data settings crop"),
        ("model: {name: tsn_resnet18}\ntraining: {lr: -1}", "lr must be above zero"),
        ("model: {name: tsn_resnet18}\ntraining: 3", "must hold names and values"),
    ],
)
def test_wrong_recipes(text, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


def test_missing_recipe(tmp_path):
    with pytest.raises(InputError, match="Cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")

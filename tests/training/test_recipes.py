"""The published recipes against numbers transcribed from the public scripts; recipes of users."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.catalog import DATASETS
from adafuse_deploy.training.recipe import Recipe, load_recipe, shipped_recipes

# Transcribed by hand from the commands of the public scripts; every one of them also has
# --num_segments 8 --lr_steps 20 40 --epochs 50 --batch-size 64 --npb, and those with gates
# --init_tau 0.67 --gsmx --gate_history --gbn --grelu.
# data set, model: --lr, --wd, --gflops_loss_type, --gate_gflops_loss_weight
V1, V2 = "somethingv1", "somethingv2"
SCRIPTS = {
    # zz_eval.sh of AdaFuse, which names the options of the published checkpoints.
    (V1, "adafuse_tsn_resnet50"): (0.01, 5e-4, "upb", 0.125),
    (V1, "adafuse_tsm_resnet50"): (0.02, 5e-4, "upb", 0.125),
    (V1, "adafuse_tsm_last_resnet50"): (0.02, 5e-4, "upb", 0.125),
    # zz_train.sh of AdaFuse.
    (V2, "adafuse_tsm_last_resnet50"): (0.02, 5e-4, "real", 0.075),
    # NeurIPS2020_*.sh in the author's copy of the TSM code.
    (V1, "tsn_resnet50"): (0.01, 5e-4, None, 0),
    (V1, "tsm_resnet50"): (0.01, 5e-4, None, 0),
    (V2, "tsn_resnet50"): (0.02, 1e-4, None, 0),
    (V2, "tsm_resnet50"): (0.02, 1e-4, None, 0),
    (V2, "adafuse_tsn_resnet50"): (0.02, 1e-4, "upb", 0.125),
    (V2, "adafuse_tsm_resnet50"): (0.02, 1e-4, "upb", 0.125),
    ("jester", "tsn_resnet50"): (0.02, 1e-4, None, 0),
    ("jester", "tsm_resnet50"): (0.02, 1e-4, None, 0),
    ("jester", "adafuse_tsn_resnet50"): (0.02, 1e-4, "upb", 0.125),
    ("jester", "adafuse_tsm_resnet50"): (0.02, 1e-4, "upb", 0.125),
    ("minikinetics", "tsn_resnet50"): (0.02, 1e-4, None, 0),
    ("minikinetics", "tsm_resnet50"): (0.02, 1e-4, None, 0),
    ("minikinetics", "adafuse_tsn_resnet50"): (0.02, 1e-4, "upb", 0.125),
    ("minikinetics", "adafuse_tsm_resnet50"): (0.02, 1e-4, "upb", 0.125),
}
# --hidden_quota 196608 --shared_policy_net, or --gate_hidden_dim 1024 --enabled_stages 3 (from 0).
QUOTA, LAST = (0, 196608, True, (1, 2, 3, 4)), (1024, 0, False, (4,))


@pytest.mark.parametrize(("dataset", "model"), SCRIPTS)
def test_published_settings_are_those_of_the_scripts(dataset, model):
    recipe = load_recipe(dataset, model)
    training, config = recipe.training, recipe.model_config(num_classes=5)
    lr, decay, loss, weight = SCRIPTS[dataset, model]
    assert (training.lr, training.weight_decay, training.flops_weight) == (lr, decay, weight)
    assert loss is None or (training.flops_loss, training.flops_unit) == (loss, "gmacs")
    assert (training.epochs, training.batch_size, training.lr_steps) == (50, 64, (20, 40))
    assert (training.lr_schedule, training.lr_decay, training.warmup_epochs) == ("step", 0.1, 0)
    # opts.py: --momentum 0.9, --clip-gradient 20 over all parameters, --dropout 0.5.
    assert (training.optimizer, training.momentum) == ("sgd", 0.9)
    assert (training.clip_norm, training.clip_apart) == (20, False)
    assert (training.estimator, training.temperature, training.temperature_decay) == (
        ("gumbel", 0.67, 1)
    )
    assert (training.argmax_epochs, training.flops_warmup_epochs, training.amp) == (0, 0, False)
    assert (config.num_segments, config.dropout, config.preprocessing.crop) == (8, 0.5, 224)
    assert recipe.data.scales == (1, 0.875, 0.75, 0.66)
    assert config.gated == (loss is not None)
    if config.gated:
        gates = config.gate_hidden, config.gate_quota, config.shared_policy, config.gated_stages
        assert gates == (LAST if "last" in model else QUOTA)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet101", "bninception"])
def test_other_backbones_train_as_resnet50(backbone):
    for dataset in DATASETS:
        for system in ("tsn", "adafuse_tsn"):
            recipe = load_recipe(dataset, f"{system}_{backbone}")
            assert recipe.training == load_recipe(dataset, f"{system}_resnet50").training
            assert recipe.model_config().backbone == backbone


def test_mirroring_follows_the_data_set():
    """ops/dataset.py mirrors unless "something" or "jester" is in the data set's name."""
    for dataset in DATASETS:
        mirrored = "something" not in dataset and "jester" not in dataset
        recipe = load_recipe(dataset, "tsn_resnet50")
        assert recipe.data.flip_kind == ("free" if mirrored else "none")
    moved = load_recipe("minikinetics", "tsn_resnet50").override({}, {"dataset": "jester"}, {})
    assert moved.data.flip_kind == "none"
    assert moved.override({}, {"dataset": ""}, {}).data.flip_kind == "none"


def test_the_table_of_rows_says_what_the_recipes_say():
    text = (Path(__file__).parents[2] / "recipes" / "README.md").read_text()
    rows = re.findall(
        r"^\| (\w*) ?\| (`.+?`) \| ([\d.]+) \| (\S+) \| (\S+)(?: `(\w+)`)? \|", text, re.M
    )
    checked, dataset = set(), ""
    for name, models, lr, decay, weight, loss in rows:
        dataset = name or dataset
        for model in re.findall(r"`(\w+)`", models):
            training = load_recipe(dataset, model).training
            assert (training.lr, training.weight_decay) == (float(lr), float(decay))
            assert training.flops_weight == (0 if weight == "-" else float(weight))
            assert not loss or training.flops_loss == loss
            checked.add((dataset, model))
    assert checked >= set(SCRIPTS)


def test_the_shipped_checkpoint_is_trained_as_it_was():
    """Its recipe grouped parameters in another way than the public code, and shifted elsewhere."""
    recipe = load_recipe("synthetic_adafuse_tsm_resnet18")
    training = recipe.training
    assert (training.bias_lr, training.bias_decay, training.norm_decay) == (1, 1, 1)
    assert training.clip_apart and training.flops_unit == "dense" and training.flops_weight == 1.2
    dense = recipe.override({"name": "tsm_resnet18"}, {}, {}).model_config()
    assert (dense.shift_place, dense.shift_every, dense.gated) == ("convolutions", 1, False)
    again = Path(__file__).parents[2] / "recipes" / "synthetic_adafuse_tsm_resnet18.yaml"
    assert load_recipe(again) == recipe


def test_flags_override_a_recipe():
    recipe = load_recipe("somethingv1", "tsn_resnet50").override(
        model={"name": "tsn_resnet18"}, data={"flip": "free"}, training={"epochs": 2}
    )
    assert recipe.model_config().backbone == "resnet18"
    assert (recipe.data.flip, recipe.training.epochs, recipe.training.batch_size) == ("free", 2, 64)


def test_the_default_is_small():
    config = Recipe().model_config(num_classes=12)
    assert config.gated and config.width < 1 and config.preprocessing.crop <= 112


def test_a_recipe_builds_on_another(tmp_path):
    (tmp_path / "below.yaml").write_text(
        "model: {name: tsn_resnet18, size: 64}\ntraining: {lr: 1, epochs: 3}\n"
        "networks: {'*18': {epochs: 4}}\n"
    )
    top = tmp_path / "top.yaml"
    top.write_text(
        "base: below.yaml\nmodel: {size: 32}\ntraining: {epochs: 9}\n"
        "networks: {tsn*: {batch_size: 7}, tsm*: {batch_size: 8}}\n"
    )
    recipe = load_recipe(top)
    assert recipe.model_config().preprocessing.crop == 32
    training = recipe.training
    assert (training.lr, training.epochs, training.batch_size) == (1.0, 4, 7)
    assert load_recipe(top, "tsm_resnet50").training.batch_size == 8
    (tmp_path / "below.yaml").write_text("base: top.yaml")
    with pytest.raises(InputError, match="builds on itself"):
        load_recipe(top)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1", "not valid YAML"),
        ("- 1", "sections model, data, training"),
        ("modle: {}", "sections model, data, training"),
        ("model: {}", "no name; give one, such as --model"),
        ("model: {name: resnet51}", "no model 'resnet51'"),
        ("model: {name: tsn_resnet18, hidden: 3}", "Unknown model settings hidden"),
        ("model: {name: tsn_resnet18}\ndata: {dataset: kinetics}", "no data set 'kinetics'"),
        ("model: {name: tsn_resnet18}\ndata: {crop: 3}", "Unknown data settings crop"),
        ("model: {name: tsn_resnet18}\ndata: {scales: 1}", "scales must be a list, not 1"),
        ("model: {name: tsn_resnet18}\ntraining: {lr: -1}", "lr must be above zero"),
        ("model: {name: tsn_resnet18}\ntraining: {lr: 1e-3}", "write 1.0e-3"),
        ("model: {name: tsn_resnet18}\ntraining: {epochs: 1.5}", "epochs must be a whole number"),
        ("model: {name: tsn_resnet18}\ntraining: {amp: 1}", "amp must be true or false, not 1"),
        ("model: {name: tsn_resnet18}\ntraining: 3", "must hold names and values"),
        ("model: {name: tsn_resnet18}\nnetworks: {a: 3}", "section a must hold names and values"),
        ("model: {name: tsn_resnet18}\nnetworks: {a: {b: 3}}", "Unknown training settings b"),
        ("base: 3", "base is the name of a file"),
        ("base: none.yaml", "Cannot read the recipe"),
    ],
)
def test_wrong_recipes(text, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(path)
    assert str(tmp_path) in str(caught.value)


def test_missing_recipe_and_model():
    with pytest.raises(InputError, match=r"Cannot read the recipe none.yaml.*somethingv1"):
        load_recipe("none.yaml")
    with pytest.raises(InputError, match=r"^There is no model 'vgg'"):
        load_recipe("jester", "vgg")
    assert {*DATASETS, "published"} < set(shipped_recipes())

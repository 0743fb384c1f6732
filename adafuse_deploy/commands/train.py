"""``adafuse-deploy train``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.lists import (
    frames_option,
    list_options,
    lists_option,
    source_rate_option,
)
from adafuse_deploy.commands.next_step import advise, graph_name
from adafuse_deploy.commands.options import ANY_PATH, FILE, Number, OutputFile, verb
from adafuse_deploy.commands.output import note, say, talkative
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.packages import need

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.training.recipe import Recipe
    from adafuse_deploy.training.splits import Source


@verb(
    epilog="\b\nExamples:\n"
    "  adafuse-deploy train --data train.txt --val val.txt -o ckpt.pt\n"
    "  adafuse-deploy train --synthetic -o ckpt.pt\n"
    "  adafuse-deploy train --model adafuse_tsm_resnet50 --dataset somethingv1 \\\n"
    "      --lists lists/ --frames frames/ --init resnet50.pth -o ckpt.pt\n"
    "  torchrun --nproc-per-node 8 -m adafuse_deploy.cli train ..."
)
@click.option("--data", type=FILE, help="Training list: 'path num_frames label' lines.")
@click.option("--val", type=FILE, help="Validation list.")
@list_options
@source_rate_option
@click.option("--classes", type=FILE, help="Class file: one name per line.")
@click.option(
    "--dataset", help="A public data set: somethingv1, somethingv2, jester, minikinetics."
)
@lists_option
@frames_option
@click.option("--synthetic", is_flag=True, help="Train on procedural videos, drawn on the fly.")
@click.option("-o", "--output", type=OutputFile(), required=True, help="Checkpoint to make.")
@click.option(
    "--recipe",
    type=ANY_PATH,
    help="Settings, which the flags below override: a YAML file, or the name of a published data "
    "set's [with --model: the data set's].",
)
@click.option("--model", help="Registered model, such as adafuse_tsm_resnet50.")
@click.option("--size", type=click.IntRange(1), help="Side of the network's input in pixels.")
@click.option("--num-segments", type=click.IntRange(1), help="Frames per clip.")
@click.option(
    "--width", type=Number(0, min_open=True), help="Multiplier on channel counts, for small models."
)
@click.option("--init", type=FILE, help="Start from ImageNet weights or another checkpoint.")
@click.option("--resume", is_flag=True, help="Go on from the last finished epoch of this output.")
@click.option("--overwrite", is_flag=True, help="Replace the run that made this output before.")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the training set; a run that goes on may get more.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Clips per step, over all processes.")
@click.option("--lr", type=Number(0, min_open=True), help="Learning rate.")
@click.option("--estimator", type=click.Choice(["gumbel", "reinforce"]))
@click.option("--flops-loss", type=click.Choice(["real", "upb"]))
@click.option(
    "--flops-weight", type=Number(0), help="Weight of FLOPs relative to the dense network."
)
@click.option(
    "--flops-unit",
    type=click.Choice(["dense", "gmacs"]),
    help="What it is multiplied with: a share of the dense network's, or GMACs per frame [dense].",
)
@click.option("--seed", type=click.IntRange(0))
@click.option("--workers", type=click.IntRange(0), help="Processes that load data.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [a GPU if there is one]")
@click.option("--amp/--no-amp", default=None, help="Mixed precision.")
@click.option("--tensorboard/--no-tensorboard", default=None, help="Events beside the CSV log.")
@click.pass_obj
def command(
    words: list[str],
    output: Path,
    init: Path | None,
    resume: bool,
    overwrite: bool,
    reading: ListReading,
    **options: Any,
) -> None:
    """Train a network, with gates or dense.

    Without --recipe and --model a small AdaFuse network that a CPU can train is taken.  --model
    alone takes the published settings for the data set, see recipes/README.md; for data of your own
    those for Something-Something V1.
    """
    need("yaml")  # its extra brings PyTorch too
    import torch

    from adafuse_deploy.models.recognizer import VideoRecognizer
    from adafuse_deploy.training.distributed import choose_device
    from adafuse_deploy.training.initialise import initialise
    from adafuse_deploy.training.run_files import RunFiles, event_writer
    from adafuse_deploy.training.trainer import train

    RunFiles(output).check(resume=resume, overwrite=overwrite)
    recipe = _recipe(options)
    training = recipe.training
    choose_device(training.device)
    if training.tensorboard:
        event_writer()
    source = _source(recipe, reading, options)
    torch.manual_seed(training.seed)
    config = recipe.model_config(num_classes=source.num_classes, class_names=source.class_names)
    if config.frame_spacing is None:
        spacing = source.frame_spacing(config.num_segments, recipe.data)
        config = replace(config, frame_spacing=spacing)
    if config.frame_spacing is None:
        note("How far apart in time frames are is not known and not recorded: give --source-rate.")
    model = VideoRecognizer(config)
    if init is not None:
        note(f"Initialised: {initialise(model, init)}.")
    splits = source.splits(model.config, recipe.data, training.seed)
    result = train(
        model,
        *splits,
        training,
        output,
        resume=resume,
        overwrite=overwrite,
        progress=talkative(),
        notes={"command": shlex.join(["adafuse-deploy", *words]), "seed": training.seed},
        report=note,
    )
    best = result.evaluation
    say(
        f"Wrote {result.checkpoint} (epoch {result.epoch}: top-1 {best.top1:.1f} %, "
        f"{best.gmacs:.4g} GMACs per clip, {100 * best.relative_flops:.0f} % of dense) "
        f"and {result.log}."
    )
    advise("export", output, "-o", graph_name(output))


def _recipe(options: dict[str, Any]) -> Recipe:
    """Return the recipe, if any, with the flags' values in it."""
    from adafuse_deploy.data.catalog import DATASETS
    from adafuse_deploy.training.recipe import SYNTHETIC, Recipe, load_recipe

    def given(**names: str) -> dict[str, Any]:
        return {
            field: options[option] for field, option in names.items() if options[option] is not None
        }

    data = {"dataset": SYNTHETIC} if options["synthetic"] else given(dataset="dataset")
    if options["data"] is not None:
        data = {"dataset": ""}
    data |= given(source_rate="source_rate")
    if options["recipe"] is not None:
        recipe = load_recipe(options["recipe"], options["model"])
    elif options["model"] is not None:
        data.setdefault("dataset", "")
        public = data["dataset"] if data["dataset"] in DATASETS else "somethingv1"
        recipe = load_recipe(public, options["model"])
        note(f"Settings: {_published(recipe, public)}.")
    else:
        recipe = Recipe()
    if options["flops_weight"] is not None and options["flops_unit"] is None:
        options["flops_unit"] = "dense"
    same = [
        "epochs",
        "batch_size",
        "lr",
        "estimator",
        "flops_loss",
        "flops_weight",
        "flops_unit",
        "seed",
    ]
    same += ["workers", "device", "amp", "tensorboard"]
    return recipe.override(
        model=given(name="model", size="size", num_segments="num_segments", width="width"),
        data=data,
        training=given(**{name: name for name in same}),
    )


def _published(recipe: Recipe, dataset: str) -> str:
    """Return in words what is published for a model on a data set."""
    training = recipe.training
    words = (
        f"as published for {dataset} (recipes/README.md), {training.epochs} epochs of "
        f"{training.batch_size} clips, learning rate {training.lr:g}, weight decay "
        f"{training.weight_decay:g}"
    )
    if training.flops_weight:
        term = f"{training.flops_loss} with {training.flops_weight:g} per GMACs and frame"
        words += f", FLOPs term {term}"
    return words


def _source(recipe: Recipe, reading: ListReading, options: dict[str, Any]) -> Source:
    """Return where clips come from; exactly one place must be named."""
    from adafuse_deploy.training.recipe import SYNTHETIC
    from adafuse_deploy.training.splits import Synthetic, own_lists, public_lists

    data, val, dataset = options["data"], options["val"], recipe.data.dataset
    if data is not None:
        if options["synthetic"] or options["dataset"]:
            raise InputError("Give one of --data, --dataset and --synthetic, not several.")
        if val is None:
            raise InputError("--data needs --val, the list to measure accuracy on.")
        return own_lists(data, val, reading=reading, classes=options["classes"])
    if dataset == SYNTHETIC:
        return Synthetic(show_progress=talkative())
    if not dataset:
        raise InputError(
            "There is nothing to train on: give --data train.txt and --val val.txt, "
            "--dataset NAME, or --synthetic."
        )
    if options["lists"] is None or options["frames"] is None:
        raise InputError(
            f"Data set {dataset} needs --lists, the folder of its published lists, and --frames, "
            "the folder of its frames."
        )
    return public_lists(dataset, options["lists"], options["frames"], reading)

"""``adafuse-deploy evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.checkpoints import DESCRIPTION, checkpoint_options
from adafuse_deploy.commands.lists import (
    frames_option,
    list_options,
    lists_option,
    refuse_without_list,
)
from adafuse_deploy.commands.next_step import advise, advise_running, graph_name, same_options
from adafuse_deploy.commands.options import (
    FILE,
    THREADS,
    ModelFile,
    OutputFile,
    batch_size_option,
    html_option,
    json_option,
    verb,
    workers_option,
)
from adafuse_deploy.commands.output import made, report, talkative
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS

if TYPE_CHECKING:
    from adafuse_deploy.core.config import ModelConfig
    from adafuse_deploy.data.labelled import LabelledVideo
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.evaluation.result import Confusion, Evaluation, PolicyMix
    from adafuse_deploy.evaluation.videos import Subject
    from adafuse_deploy.evaluation.views import Views

_SHOWN_CLASSES = 5
_FOR_GRAPHS = ("backend", "operator_library", "threads")
_FOR_CHECKPOINTS = (*(name for name in DESCRIPTION if name != "classes"), "sampled")


@verb(
    epilog="\b\nExamples:\n"
    "  adafuse-deploy evaluate ckpt.pt --data val.txt\n"
    "  adafuse-deploy evaluate model.engine --data val.txt --csv classes.csv\n"
    "  adafuse-deploy evaluate ckpt.pth.tar --official --temporal-shift --sampled \\\n"
    "      --dataset somethingv1 --lists lists/ --frames frames/ --json result.json"
)
@click.argument("model", type=ModelFile(*GRAPHS, *CHECKPOINTS))
@click.option("--data", type=FILE, help="List file: 'path num_frames label' lines.")
@list_options
@click.option("--dataset", help="somethingv1, somethingv2, jester or minikinetics.")
@lists_option
@frames_option
@click.option("--synthetic", type=click.IntRange(1), metavar="CLIPS", help="Draw so many videos.")
@click.option(
    "--clips", type=click.IntRange(1), help="Clips per video. [1, with --dense-sampling 10]"
)
@click.option(
    "--crops",
    type=click.Choice(["1", "3", "10"]),
    default="1",
    show_default=True,
    help="Crops per frame: the middle; left, right and middle; corners and middle, also mirrored.",
)
@click.option(
    "--dense-sampling", is_flag=True, help="Clips of 64 neighbouring frames, as I3D tests."
)
@click.option(
    "--full-resolution",
    is_flag=True,
    help="Crops as high as the resized frame: 256 instead of 224 pixels.",
)
@click.option("--sampled", is_flag=True, help="Sample policies, as the paper's own evaluation did.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of --sampled, --synthetic.",
)
@checkpoint_options
@click.option(
    "--backend",
    type=click.Choice(["onnxruntime", "openvino"]),
    help="What runs a graph. [onnxruntime]",
)
@click.option(
    "--operator-library/--no-operator-library",
    default=True,
    help="Run a graph on our kernels (default) or on its function bodies.",
)
@click.option("--threads", type=THREADS, help="Threads of a graph's runtime.")
@batch_size_option
@workers_option
@click.option("--device", default="", help="cpu, cuda, cuda:1 ... [for checkpoints a GPU, if any]")
@click.option(
    "--csv",
    "csv_file",
    type=OutputFile(),
    help="Write accuracy by class and the confusion matrix to this file as a table.",
)
@json_option
@html_option
def command(
    model: Path,
    json_file: str | None,
    html_file: Path | None,
    csv_file: Path | None,
    reading: ListReading,
    **options: Any,
) -> None:
    """Measure accuracy, cost and policies of MODEL on labelled videos.

    MODEL is a checkpoint, a graph or an engine; the latter two need no PyTorch.  Policies are the
    argmax of deployment unless --sampled is given.  GMACs are billions of multiply-accumulates per
    clip, the policy networks' own included; papers call them GFLOPs.

    A video is recognised by its middle, or by the mean logits of several clips and crops.  TSM's
    protocols: Something-Something --clips 2 --crops 3; Kinetics --dense-sampling --crops 3
    --full-resolution.
    """
    from adafuse_deploy.commands.circumstances import circumstances
    from adafuse_deploy.evaluation.videos import evaluate_videos
    from adafuse_deploy.evaluation.views import Views
    from adafuse_deploy.report.seen import Seen

    sources = ("data", "dataset", "synthetic")
    if sum(options[name] is not None for name in sources) != 1:
        raise InputError("Give exactly one of --data LIST, --dataset NAME and --synthetic CLIPS.")
    if options["synthetic"] is not None:
        refuse_without_list(reading)
    dense = options["dense_sampling"]
    clips = options["clips"] or (10 if dense else 1)
    views = Views(clips, int(options["crops"]), dense, options["full_resolution"])
    deployed = model.suffix in (*GRAPHS, *ENGINES)
    opened = _engine(model, views, options) if deployed else _checkpoint(model, views, options)
    with opened as (subject, runtime, batch_size):
        videos = _videos(subject.config, reading, options)
        seen = Seen(
            subject.config,
            subject.layers,
            subject.gates,
            lambda number: _about(videos[number]),
            views=views.count,
            with_pictures=html_file is not None,
        )
        result, confusion = evaluate_videos(
            subject,
            videos,
            views,
            batch_size=batch_size,
            workers=options["workers"],
            progress=talkative(),
            watch=seen.add,
        )
    if csv_file is not None:
        from adafuse_deploy.core.files import write_text

        write_text(csv_file, confusion.to_csv())
    values = {
        "model": str(model),
        "runtime": runtime,
        "sampled": options["sampled"],
        "views": views.to_dict(),
        **result.to_dict(),
        "top1_interval": result.top1_interval,
        **confusion.to_dict(),
        **seen.to_dict(),
        **circumstances([model]),
    }
    lines = _lines(result, confusion, views, "sampled" if options["sampled"] else "argmax")

    def page(found: dict[str, Any]) -> str:
        from adafuse_deploy.report.evaluate_page import evaluate_page
        from adafuse_deploy.report.page import render

        return render(evaluate_page(found, {"policy_maps": seen.pictures}))

    report(values, lines, json_file, html_file, page)
    if csv_file is not None:
        made(f"Wrote {csv_file}.")
    if deployed:
        advise_running(str(model), "clip")
    else:
        advise("export", model, *same_options(DESCRIPTION), "-o", graph_name(model))


def _about(video: LabelledVideo) -> tuple[str, int]:
    """Return a video's name and class."""
    return str(getattr(video, "path", video.origin)), video.label


def _refuse(options: Sequence[str], reason: str) -> None:
    """Refuse those of the options that were given."""
    if given := same_options(options):
        raise InputError(f"{' '.join(given)} {reason}")


_Opened = tuple["Subject", str, int]
"""What is evaluated, what runs it, and how many clips that takes at a time."""


@contextmanager
def _checkpoint(path: Path, views: Views, options: dict[str, Any]) -> Iterator[_Opened]:
    """Open a checkpoint in PyTorch."""
    _refuse(
        _FOR_GRAPHS,
        f"is for graphs and {path} is a checkpoint, which runs in PyTorch; leave it out, or export "
        "the checkpoint and evaluate the graph.",
    )
    import torch

    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.core.finite import check_logits
    from adafuse_deploy.evaluation.videos import Subject
    from adafuse_deploy.models.gate import argmax, sampled
    from adafuse_deploy.training.distributed import choose_device

    device = choose_device(options["device"])
    model = load_checkpoint(path, **{name: options[name] for name in DESCRIPTION}).to(device)
    config = model.config
    if views.full_resolution and config.backbone == "bninception":
        raise InputError("BN-Inception takes 224 x 224 pixels only; leave out --full-resolution.")
    generator = torch.Generator().manual_seed(options["seed"])
    decide = sampled(generator) if options["sampled"] else argmax

    def predict(clips: Any) -> Any:
        prediction = model.predict(clips, decide)
        check_logits(prediction.logits, "PyTorch")
        return prediction

    side = config.preprocessing.resize if views.full_resolution else config.preprocessing.crop
    subject = Subject(predict, config, model.layers(side), model.gate_names())
    yield subject, f"PyTorch on {device}", options["batch_size"]


@contextmanager
def _engine(path: Path, views: Views, options: dict[str, Any]) -> Iterator[_Opened]:
    """Open a graph or engine in its runtime."""
    _refuse(
        _FOR_CHECKPOINTS,
        f"is for checkpoints; {path} was made with its own settings and decides by argmax: leave "
        "it out.",
    )
    if views.full_resolution:
        raise InputError(
            f"{path} takes frames of one size; leave out --full-resolution, or evaluate the "
            "checkpoint it was made from."
        )
    from adafuse_deploy.data.class_files import read_class_names
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.evaluation.videos import Subject

    with load_engine(
        path,
        operator_library=options["operator_library"],
        threads=options["threads"],
        device=options["device"] or None,
        backend=options["backend"] or "onnxruntime",
    ) as engine:
        metadata = engine.metadata
        config = metadata.config
        if options["classes"]:
            config = replace(config, class_names=read_class_names(options["classes"]))
        subject = Subject(engine.run, config, metadata.layers, metadata.gates)
        yield (
            subject,
            engine.name,
            min(options["batch_size"], engine.max_batch or options["batch_size"]),
        )


def _videos(
    config: ModelConfig, reading: ListReading, options: dict[str, Any]
) -> Sequence[LabelledVideo]:
    """Return the videos to evaluate on."""
    from adafuse_deploy.data.catalog import DATASETS
    from adafuse_deploy.data.labelled import draw_videos
    from adafuse_deploy.data.lists import read_list

    if options["synthetic"] is not None:
        return draw_videos(options["synthetic"], seed=options["seed"], show_progress=talkative())
    if options["data"] is not None:
        return read_list(
            options["data"],
            reading,
            num_classes=config.num_classes,
            class_names=config.class_names,
        )
    if options["dataset"] not in DATASETS:
        raise InputError(
            f"There is no data set {options['dataset']!r}; choose one of {', '.join(DATASETS)}."
        )
    if options["lists"] is None or options["frames"] is None:
        raise InputError("--dataset needs --lists and --frames, the folders it lies in.")
    public = DATASETS[options["dataset"]]
    if public.num_classes != config.num_classes:
        raise InputError(
            f"The network knows {config.num_classes} classes but {public.name} has "
            f"{public.num_classes}; evaluate it on the data set it was trained for."
        )
    return public.read("val", options["lists"], options["frames"], reading)


def _lines(result: Evaluation, confusion: Confusion, views: Views, policies: str) -> Iterator[str]:
    yield f"Videos     {result.clips} ({policies} policies)"
    if views.count > 1:
        kind = "dense" if views.dense_sampling else "uniform"
        yield f"Views      {views.count}: {views.clips} {kind} clips of {views.crops} crops"
    yield f"Top-1      {result.top1:.2f} %"
    yield f"Top-5      {result.top5:.2f} %"
    yield f"By class   {confusion.mean_class_accuracy:.2f} % in the mean"
    unit = "clip" if views.count == 1 else f"view, {views.count} of which make an answer"
    yield (
        f"GMACs      {result.gmacs:.4g} per {unit}, {100 * result.relative_flops:.1f} % of the "
        f"{result.dense_gmacs:.4g} without gates"
    )
    if result.overall is not None:
        yield f"           {result.official_gflops:.4g} GFLOPs per frame as the public code counts"
        yield f"{'Policies':<28} skip  reuse   keep"
        yield from map(_mix_line, (result.overall, *result.gates))
    yield from _class_lines(confusion)


def _mix_line(mix: PolicyMix) -> str:
    return f"  {mix.name:<25} {mix.skip:5.3f}  {mix.reuse:5.3f}  {mix.keep:5.3f}"


def _class_lines(confusion: Confusion) -> Iterator[str]:
    """Yield the accuracy of every class, or of the worst and best where there are many."""
    ranked = sorted(
        ((found.accuracy, found) for found in confusion.classes if found.accuracy is not None),
        key=lambda entry: (entry[0], entry[1].label),
    )
    accuracies = {accuracy for accuracy, _ in ranked}
    if len(ranked) > 1 and len(accuracies) == 1:
        yield f"Classes    all {len(ranked)} of them at {accuracies.pop():.2f} %"
        return
    groups = {"Classes, worst first": ranked}
    if len(ranked) > 2 * _SHOWN_CLASSES:
        groups = {
            "Worst classes": ranked[:_SHOWN_CLASSES],
            "Best classes": ranked[: -_SHOWN_CLASSES - 1 : -1],
        }
    for title, entries in groups.items():
        yield title
        for accuracy, found in entries:
            yield f"  {accuracy:6.2f} %  {found.name} ({found.correct} of {found.clips})"

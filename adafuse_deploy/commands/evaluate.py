"""``adafuse-deploy evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.checkpoints import DESCRIPTION, checkpoint_options
from adafuse_deploy.commands.lists import list_options
from adafuse_deploy.commands.next_step import advise, graph_name, same_options
from adafuse_deploy.commands.options import FILE, FOLDER, json_option, verb
from adafuse_deploy.commands.output import report, talkative
from adafuse_deploy.errors import InputError

if TYPE_CHECKING:
    from adafuse_deploy.data.dataset import ClipDataset
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.models.recognizer import VideoRecognizer
    from adafuse_deploy.training.evaluation import Evaluation, PolicyMix


@verb(
    epilog="\b\nExamples:\n"
    "  adafuse-deploy evaluate ckpt.pt --data val.txt\n"
    "  adafuse-deploy evaluate ckpt.pth.tar --official --temporal-shift --sampled \\\n"
    "      --dataset somethingv1 --lists lists/ --frames frames/ --json result.json"
)
@click.argument("checkpoint", type=FILE)
@click.option("--data", type=FILE, help="List file: 'path num_frames label' lines.")
@list_options
@click.option("--dataset", help="somethingv1, somethingv2, jester or minikinetics.")
@click.option("--lists", type=FOLDER, help="With --dataset: folder of its published lists.")
@click.option("--frames", type=FOLDER, help="With --dataset: folder of its frames.")
@click.option("--synthetic", type=click.IntRange(1), metavar="CLIPS", help="Draw so many videos.")
@click.option("--sampled", is_flag=True, help="Sample policies, as the paper's own evaluation did.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of --sampled, --synthetic.",
)
@checkpoint_options
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Processes that load data.",
)
@click.option("--device", default="", help="cpu, cuda, cuda:1 ... [a GPU if there is one]")
@json_option
def command(checkpoint: Path, json_file: str | None, reading: ListReading, **options: Any) -> None:
    """Measure a checkpoint's accuracy, FLOPs and policies on labelled videos.

    Policies are the argmax of deployment unless --sampled is given.  GMACs are billions of
    multiply-accumulates per clip, the policy networks' own included; papers call them GFLOPs.
    """
    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.training.distributed import choose_device
    from adafuse_deploy.training.evaluation import evaluate

    device = choose_device(options["device"])
    described = {name: options[name] for name in DESCRIPTION}
    model = load_checkpoint(checkpoint, **described).to(device)
    result = evaluate(
        model,
        _clips(model, reading, options),
        sampled=options["sampled"],
        seed=options["seed"],
        batch_size=options["batch_size"],
        workers=options["workers"],
        progress=talkative(),
    )
    values = {"checkpoint": str(checkpoint), "sampled": options["sampled"], **result.to_dict()}
    report(values, _lines(result, options["sampled"]), json_file)
    advise("export", checkpoint, *same_options(DESCRIPTION), "-o", graph_name(checkpoint))


def _clips(model: VideoRecognizer, reading: ListReading, options: dict[str, Any]) -> ClipDataset:
    """Return the clips to evaluate on; exactly one source must be named."""
    from adafuse_deploy.data.catalog import DATASETS
    from adafuse_deploy.data.dataset import ClipDataset, SyntheticClips
    from adafuse_deploy.data.lists import read_list

    sources = ("data", "dataset", "synthetic")
    if sum(options[name] is not None for name in sources) != 1:
        raise InputError("Give exactly one of --data LIST, --dataset NAME and --synthetic CLIPS.")
    config = model.config
    segments, preprocessing = config.num_segments, config.preprocessing
    if options["synthetic"] is not None:
        return SyntheticClips(
            options["synthetic"],
            segments,
            preprocessing,
            seed=options["seed"],
            show_progress=talkative(),
        )
    if options["data"] is not None:
        records = read_list(
            options["data"],
            reading,
            num_classes=config.num_classes,
            class_names=config.class_names,
        )
        return ClipDataset(records, segments, preprocessing)
    if options["dataset"] not in DATASETS:
        raise InputError(
            f"There is no data set {options['dataset']!r}; choose one of {', '.join(DATASETS)}."
        )
    if options["lists"] is None or options["frames"] is None:
        raise InputError("--dataset needs --lists and --frames, the folders it lies in.")
    public = DATASETS[options["dataset"]]
    if public.num_classes != config.num_classes:
        raise InputError(
            f"The checkpoint knows {config.num_classes} classes but {public.name} has "
            f"{public.num_classes}; evaluate it on the data set it was trained for."
        )
    records = public.read("val", options["lists"], options["frames"], reading)
    return ClipDataset(records, segments, preprocessing)


def _lines(result: Evaluation, sampled: bool) -> list[str]:
    policies = "sampled" if sampled else "argmax"
    lines = [
        f"Clips      {result.clips} ({policies} policies)",
        f"Top-1      {result.top1:.2f} %",
        f"Top-5      {result.top5:.2f} %",
        f"GMACs      {result.gmacs:.4g} per clip, {100 * result.relative_flops:.1f} % of the "
        f"{result.dense_gmacs:.4g} without gates",
    ]
    if result.overall is not None:
        lines.append(
            f"           {result.official_gflops:.4g} GFLOPs per frame as the public code counts"
        )
        lines.append(f"{'Policies':<28} skip  reuse   keep")
        lines += [_mix_line(mix) for mix in (result.overall, *result.gates)]
    return lines


def _mix_line(mix: PolicyMix) -> str:
    return f"  {mix.name:<25} {mix.skip:5.3f}  {mix.reuse:5.3f}  {mix.keep:5.3f}"

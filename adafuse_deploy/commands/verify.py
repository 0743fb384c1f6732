"""``adafuse-deploy verify``: engines are compared with the network as trained,
or with the portable graph where PyTorch is missing."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adafuse_deploy.commands.checkpoints import DESCRIPTION, checkpoint_options
from adafuse_deploy.commands.lists import list_options
from adafuse_deploy.commands.next_step import advise_running, same_options
from adafuse_deploy.commands.options import (
    FILE,
    FOLDER,
    THREADS,
    ModelFile,
    NewFolder,
    html_option,
    json_option,
    verb,
)
from adafuse_deploy.commands.output import made, report, talkative
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adafuse_deploy.core.config import ModelConfig
    from adafuse_deploy.data.listed_clips import LabelledClip
    from adafuse_deploy.data.lists import ListReading
    from adafuse_deploy.report.seen import Seen

RANDOM_CLIPS = 8


@verb(
    epilog="Example: adafuse-deploy verify model.onnx --checkpoint ckpt.pt --data val.txt "
    "--json verify.json"
)
@click.argument("graph", type=ModelFile(*GRAPHS))
@click.argument("engines", nargs=-1, type=ModelFile(*GRAPHS, *ENGINES, *CHECKPOINTS))
@click.option(
    "--checkpoint",
    type=ModelFile(*CHECKPOINTS),
    help="What GRAPH was exported from, to compare with in PyTorch [GRAPH on its function bodies].",
)
@click.option("--data", type=FILE, help="List of videos; without labels, no accuracy.")
@list_options
@click.option("--clips", type=click.IntRange(1), help="Take so many clips, evenly spaced [all].")
@click.option(
    "--random",
    "random_count",
    type=click.IntRange(1),
    help=f"Without --data: so many clips of noise [{RANDOM_CLIPS}]; no accuracy.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(["torch", "onnxruntime", "openvino"]),
    help="Run GRAPH in this; repeatable [every one that is present].",
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Clips a call.")
@click.option(
    "--rounds", type=click.IntRange(1), default=20, show_default=True, help="Timed calls."
)
@click.option("--threads", type=THREADS, help="Threads of each runtime [its own choice].")
@click.option(
    "--min-policy-agreement",
    type=click.FloatRange(0, 100),
    help="Per cent of decisions [fp32: 100, fp16: 99, bf16 and int8: 98].",
)
@click.option("--atol", type=click.FloatRange(0), help="Absolute error of logits [0].")
@click.option(
    "--rtol",
    type=click.FloatRange(0),
    help="The same over their RMS [fp32: 1e-3, fp16: 5e-2, bf16 and int8: 2].",
)
@click.option(
    "--min-top1-agreement",
    type=click.FloatRange(0, 100),
    help="Per cent of clips with the reference's best class [fp32: 100, others: 98].",
)
@click.option(
    "--max-top1-loss",
    type=click.FloatRange(0),
    help="Points of top-1 accuracy that may be lost [bf16 and int8: 0.5, others: 100].",
)
@click.option(
    "--bisect",
    is_flag=True,
    help="Find the first gate at which an engine that fails leaves the reference.",
)
@click.option(
    "--save-failures",
    type=NewFolder(),
    metavar="DIR",
    help="Save the clips that fail, with all answers, in a new folder.",
)
@click.option(
    "--replay", type=FOLDER, metavar="DIR", help="Run the clips of --save-failures again."
)
@json_option
@html_option
@checkpoint_options
def command(
    graph: Path,
    engines: tuple[Path, ...],
    checkpoint: Path | None,
    data: Path | None,
    clips: int | None,
    random_count: int | None,
    backends: tuple[str, ...],
    batch: int,
    rounds: int,
    threads: int | None,
    min_policy_agreement: float | None,
    atol: float | None,
    rtol: float | None,
    min_top1_agreement: float | None,
    max_top1_loss: float | None,
    bisect: bool,
    save_failures: Path | None,
    replay: Path | None,
    json_file: str | None,
    html_file: Path | None,
    reading: ListReading,
    **options: Any,
) -> None:
    """Compare GRAPH, in every backend, and ENGINES built from it with the network in PyTorch.

    Without --checkpoint the reference is GRAPH itself in plain ONNX Runtime, which needs no
    PyTorch: 'export' compared the two before it wrote GRAPH.

    Reports policy agreement, error of the logits, accuracy and latency; fails where a threshold is
    missed.  Where float32 rounding decided a tie the other way, the reference follows the engine:
    ties are counted and shown, and all else is compared under the same decisions.  Engines for
    other machines are listed as not run.

    --bisect takes the first clip on which an engine fails and runs it, at most log2(gates) + 2
    times, under decisions that take ever other blocks out of the network.
    """
    from dataclasses import replace

    from adafuse_deploy.commands.checkpoints import load_checkpoint
    from adafuse_deploy.commands.circumstances import circumstances
    from adafuse_deploy.core.errors import CheckFailed
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.graph.read import read_metadata
    from adafuse_deploy.report.seen import Seen
    from adafuse_deploy.verification.backends import open_engines
    from adafuse_deploy.verification.failures import (
        Failures,
        find_departures,
        outcome_in_words,
        replayed,
    )
    from adafuse_deploy.verification.saved_failures import FailureFolder, SavedClips
    from adafuse_deploy.verification.verifier import check_batch, verify

    if (data is not None) + (random_count is not None) + (replay is not None) > 1:
        raise click.UsageError("--data, --random and --replay say what to run; give one of them.")
    if replay is not None and clips is not None:
        raise click.UsageError("--replay runs all clips that were saved; leave out --clips.")
    if checkpoint is None:
        described = same_options(DESCRIPTION)
        if described:
            raise click.UsageError(f"{described[0]} describes a checkpoint; give --checkpoint too.")
        model, config = None, read_metadata(graph).config
    else:
        model = load_checkpoint(checkpoint, **options)
        config = model.config
    chosen, description = _clips(config, data, reading, clips or random_count, replay)
    check_batch(len(chosen), batch)
    around = circumstances((checkpoint, graph, *engines))
    metadata = read_metadata(graph)
    videos, labels = getattr(chosen, "videos", None), list[int | None]()

    def about(clip: int) -> tuple[str, int | None]:
        return videos[clip] if videos else f"clip {clip}", labels[clip]

    def watch(frames: Any, classes: Any, prediction: Any) -> None:
        labels.extend([None] * len(frames) if classes is None else classes.tolist())
        seen.add(frames, prediction)

    seen = Seen(config, metadata.layers, metadata.gates, about, with_pictures=html_file is not None)
    with ExitStack() as stack:
        opened, not_run = open_engines(
            stack, model, graph, engines, backends=backends or None, threads=threads
        )
        failed = Failures()
        if save_failures is not None:
            record = {"source": description, "files": around["files"]}
            failed.folder = stack.enter_context(
                FailureFolder(save_failures, metadata.gates, list(opened), videos or (), record)
            )
        found = verify(
            graph if model is None else model,
            opened,
            chosen,
            thresholds={
                "policy_agreement": min_policy_agreement,
                "atol": atol,
                "rtol": rtol,
                "top1_agreement": min_top1_agreement,
                "top1_loss": max_top1_loss,
            },
            batch=batch,
            rounds=rounds,
            threads=threads,
            description=description,
            progress=talkative(),
            on_failure=failed.add if bisect or save_failures or replay else None,
            watch=watch,
        )
        found = replace(found, not_run=not_run, files=around["files"])
        values, lines = found.to_dict(), [found.text()]
        if bisect:
            departures = find_departures(graph if model is None else model, opened, failed.first)
            values["departures"] = {
                name: place if isinstance(place, str) else place.to_dict()
                for name, place in departures.items()
            }
            lines += [f"Bisected {name}: {place}." for name, place in departures.items()]
            lines += [] if departures else ["No clip fails, so there is nothing to bisect."]
        if isinstance(chosen, SavedClips):
            values["replayed"] = replayed(chosen, failed, list(opened))
            lines += map(outcome_in_words, values["replayed"])
    values |= {**around, **seen.to_dict()}
    for entry in values["disagreements"]:
        name, label = about(entry["clip"])
        entry |= {"video": name, "class": None if label is None else config.labels[label]}
    report(values, lines, json_file, html_file, partial(_page, seen, chosen, config))
    if failed.folder is not None:
        made(failed.folder.summary)
    if found.failures:
        raise CheckFailed(f"Verification failed: {' '.join(found.failures)}")
    ran = [engine for engine in engines if str(engine) not in not_run]
    video = chosen.first_video if isinstance(chosen, ListedClips) else None
    images = same_options(["template"]) if video else []
    advise_running(str((*ran, graph)[0]), read_metadata(graph).mode, video, *images)


def _page(
    seen: Seen, clips: Sequence[LabelledClip], config: ModelConfig, values: dict[str, Any]
) -> str:
    """Return the page, with the frames of what is shown."""
    from adafuse_deploy.report.page import render
    from adafuse_deploy.report.pictures import thumbnails
    from adafuse_deploy.report.verify_page import verify_page

    worst = [
        thumbnails(clips[entry["clip"]][0], config.preprocessing)
        for entry in values["disagreements"]
    ]
    return render(verify_page(values, {"policy_maps": seen.pictures, "disagreements": worst}))


def _clips(
    config: ModelConfig,
    data: Path | None,
    reading: ListReading,
    count: int | None,
    replay: Path | None,
) -> tuple[Sequence[LabelledClip], str]:
    """Return the clips to run and where they come from, in words."""
    from adafuse_deploy.data.listed_clips import ListedClips, random_clips
    from adafuse_deploy.verification.saved_failures import SavedClips

    if replay is not None:
        crop = config.preprocessing.crop
        saved = SavedClips(replay, (config.num_segments, 3, crop, crop))
        return saved, f"{len(saved)} saved clips of {replay}"
    if data is None:
        count = count or RANDOM_CLIPS
        crop = config.preprocessing.crop
        noise = random_clips(count, (config.num_segments, 3, crop, crop))
        return noise, f"{count} clips of noise (no --data, so no accuracy)"
    listed = ListedClips(config, data, reading=reading, count=count)
    return listed, f"{len(listed)} clips of {data}"

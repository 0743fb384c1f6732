"""Taking profiles: of a graph as it decides, or of several under drawn policies, in turn."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adafuse_deploy.benchmark.graphs import force_policies, force_stream_policies
from adafuse_deploy.benchmark.mixes import draw_policies
from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.data.clips import open_clip
from adafuse_deploy.engines.suffixes import GRAPHS
from adafuse_deploy.graph.read import read_metadata
from adafuse_deploy.profiling.layers import GraphNodes
from adafuse_deploy.profiling.peak import peak_gmacs
from adafuse_deploy.profiling.report import Profile
from adafuse_deploy.profiling.rows import make_rows
from adafuse_deploy.profiling.session import Session, mean_ms
from adafuse_deploy.profiling.subject import Steps, forced_steps, layers_macs
from adafuse_deploy.profiling.trace import write_trace

Mix = tuple[float, float, float]

_LEAST_ROUNDS = 2
_PRECISIONS = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class ProfileOptions:
    """How to take a profile.

    Attributes:
        threads: of an operator.
        rounds: of each kind: not recorded, recorded, watched by ONNX Runtime's profiler.
        max_seconds: of all of them; at least two rounds are run.
        operator_library: as for :func:`adafuse_deploy.load_engine`.
    """

    threads: int = 1
    rounds: int = 20
    max_seconds: float = 60.0
    operator_library: bool | str | os.PathLike[str] = True


def profile(
    model: str | os.PathLike[str],
    video: str | os.PathLike[str] | None = None,
    options: ProfileOptions | None = None,
    *,
    mix: Mix | None = None,
    trace: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Profile:
    """Find out where the time of a graph goes on this machine's CPU.

    Our operators say themselves what their time went into; the other nodes' times are those of ONNX
    Runtime's profiler, in runs of their own, since it costs time itself.  Rounds of both kinds take
    turns with rounds that nobody watches; of each the quietest quarter counts.

    Args:
        model: a clip or stream graph for ONNX Runtime, portable or fused.
        video: what it looks at, a file or a folder of frames; noise without one.
        options: how often and how.
        mix: shares of skip, reuse and keep that policies are drawn from, which the graph obeys
            instead of its own decisions.
        trace: a ``.json`` file to write, in the Trace Event Format, which Perfetto opens.
        progress: show how far it is on standard error.

    Raises:
        InputError: the model is no graph for ONNX Runtime, or the video cannot be read; or another
            profile is being taken in this process.
        MissingDependencyError: the operator library is missing, or of an older release.
        IncompatibleArtifactError: as for :class:`OnnxRuntimeEngine`.
    """
    (found,) = profile_in_turn(model, [mix], video, options, trace=trace, progress=progress)
    return found


def profile_in_turn(
    model: str | os.PathLike[str],
    mixes: Sequence[Mix | None],
    video: str | os.PathLike[str] | None = None,
    options: ProfileOptions | None = None,
    *,
    trace: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> list[Profile]:
    """Take several profiles of a graph at the same time, so that a machine's drift is in all alike.

    Args:
        model, video, options, progress: as for :func:`profile`.
        mixes: of each profile; None leaves the network its own decisions.
        trace: of the first profile.

    Raises:
        InputError, MissingDependencyError, IncompatibleArtifactError: as for :func:`profile`; or
            the network has no gates that could obey a mix.
    """
    options = options or ProfileOptions()
    path = Path(model)
    _check_graph(path)
    metadata = read_metadata(path)
    clip = _clip(metadata, video)
    with tempfile.TemporaryDirectory(prefix="adafuse-profile-") as name, ExitStack() as stack:
        parts: list[tuple[Session, GraphNodes, Steps | None]] = []
        for number, mix in enumerate(mixes):
            graph: Path = path
            forced: Steps | None = None
            if mix is not None:
                graph = Path(name, f"forced{number}.onnx")
                policies = mix_policies(metadata, mix)
                _force(path, graph, metadata, policies)
                forced = forced_steps(metadata, policies)
            nodes = GraphNodes(graph, metadata)
            session = Session(
                graph,
                clip,
                Path(name),
                threads=options.threads,
                operator_library=options.operator_library,
                operators=nodes.operators,
            )
            parts.append((stack.enter_context(session), nodes, forced))
        peaks = _peaks(metadata, options)
        _run([session for session, _, _ in parts], options, progress)
        profiles: list[Profile] = []
        for mix, (session, nodes, forced) in zip(mixes, parts, strict=True):
            measured = session.measured()
            steps = [answer.policies for answer in session.answers]
            asked = layers_macs(metadata, steps if forced is None else forced)
            if trace is not None and not profiles:
                write_trace(trace, measured.traced, f"{path.name}: {metadata.summary}")
            rows = make_rows(metadata, nodes, measured, asked, options.threads, peaks)
            recorded = mean_ms(measured.recorded)
            profiles.append(
                Profile(
                    model=path.name,
                    summary=metadata.summary,
                    engine=session.name,
                    mode=metadata.mode,
                    threads=options.threads,
                    decisions=_whose(video, mix, metadata),
                    rows=rows,
                    runtime_ms=recorded - sum(row.ms for row in rows),
                    recorded_ms=recorded,
                    end_to_end_ms=mean_ms(measured.plain),
                    runs=sum(map(len, measured.plain)),
                    peaks=peaks,
                )
            )
    return profiles


def mix_policies(metadata: GraphMetadata, mix: Mix) -> list[np.ndarray]:
    """Draw the policies that a graph obeys in a profile of a mix, per gate (1, T, C).

    Raises:
        InputError: the network has no gates.
    """
    if not metadata.gates:
        raise InputError("This network has no gates, so there are no policies to draw for it.")
    return draw_policies(metadata.layers, mix, 1, metadata.config.num_segments)


def _run(sessions: Sequence[Session], options: ProfileOptions, progress: bool) -> None:
    """Run rounds of every kind of every session in turn; none always runs after the same other."""
    work = [(session, kind) for session in sessions for kind in session.kinds]
    end = time.monotonic() + options.max_seconds
    for number in show_progress(range(options.rounds), "profiling", show=progress, unit="rounds"):
        if number >= _LEAST_ROUNDS and time.monotonic() > end:
            break
        first = number % len(work)
        for session, kind in work[first:] + work[:first]:
            session.round(kind)


def _check_graph(path: Path) -> None:
    if path.suffix not in GRAPHS:
        raise InputError(
            f"{path} is no graph: a profile is taken of what ONNX Runtime runs on a CPU; give the "
            "graph (.onnx) that it was built from, or that 'adafuse-deploy export' makes of it."
        )


def _whose(video: str | os.PathLike[str] | None, mix: Mix | None, metadata: GraphMetadata) -> str:
    if not metadata.gates:
        return "none, the network has no gates"
    if mix is not None:
        return "drawn, {:.3g} skip, {:.3g} reuse, {:.3g} keep".format(*mix)
    return "the network's own on " + ("noise" if video is None else Path(video).name)


def _clip(metadata: GraphMetadata, video: str | os.PathLike[str] | None) -> np.ndarray:
    """Return the frames to look at, float32 (T, 3, H, W)."""
    config = metadata.config
    if video is None:
        return np.random.default_rng(0).standard_normal(metadata.clip_shape, np.float32)
    return open_clip(video, config.num_segments, config.preprocessing)


def _force(
    path: Path, target: Path, metadata: GraphMetadata, policies: Sequence[np.ndarray]
) -> None:
    """Write the graph with given policies, per gate (1, T, C)."""
    target.write_bytes(path.read_bytes())
    if metadata.mode == "clip":
        force_policies(target, policies)
    else:
        force_stream_policies(target, [policy[0] for policy in policies])


def _peaks(metadata: GraphMetadata, options: ProfileOptions) -> dict[str, float]:
    """Return precision -> 10^9 multiply-accumulates a second; none where there is no library."""
    library = options.operator_library
    try:
        return {
            precision: peak_gmacs(
                precision, options.threads, None if isinstance(library, bool) else library
            )
            for precision in dict.fromkeys(("fp32", metadata.precision))
            if precision in _PRECISIONS
        }
    except MissingDependencyError:
        if library is not False:
            raise
        return {}

#!/usr/bin/env python3
"""CPU time of 8 frames of a video: ours beside decoding everything, OpenCV and torchcodec.

`python scripts/decoding.py --peers --hour` prints what docs/data.md says.  Clips are drawn and
encoded first: 10 seconds at 25 a second, H.264 by x264, key frames every 12, 60 and 250 frames.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np

from adafuse_deploy.data.clip_workers import ClipSettings, read_clips
from adafuse_deploy.data.inputs import Video
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.video import VideoFile
from adafuse_deploy.engines.labelling import LabelOptions, LocalLabeller
from adafuse_deploy.engines.loader import load_engine

Reader = Callable[[Path, list[int]], object]
SIZES, GROUPS = ((1920, 1080), (320, 240)), (12, 60, 250)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="OpenCV and torchcodec too")
    parser.add_argument("--hour", action="store_true", help="the first clip of an hour too")
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--throughput", metavar="MODEL", help="instead: many videos to labels")
    options = parser.parse_args()
    if options.throughput:
        throughput(options.throughput)
        return
    readers: dict[str, Reader] = {"ours": ours, "everything": everything}
    if options.peers:
        readers |= peers()
    with tempfile.TemporaryDirectory() as folder:
        print("| clip | key frame every | " + " | ".join(readers) + " | everything / ours |")
        print("| --- |" + " --- |" * (len(readers) + 2))
        for width, height in SIZES:
            for group in GROUPS:
                path = Path(folder) / f"{height}_{group}.mp4"
                encode(path, width, height, group)
                indices = center_indices(250, 8).tolist()
                expected = everything(path, indices)
                assert all(map(np.array_equal, ours(path, indices), expected))
                taken = {
                    name: cpu(read, path, indices, options.rounds) for name, read in readers.items()
                }
                cells = [f"{1e3 * seconds:.0f} ms" for seconds in taken.values()]
                ratio = taken["everything"] / taken["ours"]
                print(
                    f"| {width} x {height} | {group} | {' | '.join(cells)} | {ratio:.1f} |",
                    flush=True,
                )
        if options.hour:
            for height in (1080, 240):
                hour(Path(folder) / f"{height}_60.mp4", Path(folder) / "hour.mp4")


def peers() -> dict[str, Reader]:
    """Return the other readers that are installed and load."""
    found: dict[str, Reader] = {}
    for name, module, read in (
        ("OpenCV", "cv2", opencv),
        ("torchcodec", "torchcodec.decoders", torchcodec),
    ):
        try:
            importlib.import_module(module)
            found[name] = read
        except (ImportError, OSError, RuntimeError) as error:
            print(f"{name} is missing: {str(error).splitlines()[0]}", file=sys.stderr)
    return found


def cpu(read: Reader, path: Path, indices: list[int], rounds: int) -> float:
    """Return the least processor time of some rounds, all threads together, in seconds."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        read(path, indices)
        found.append(time.process_time() - start)
    return min(found)


def ours(path: Path, indices: list[int]) -> list[np.ndarray]:
    return VideoFile(path).frames(indices)


def everything(path: Path, indices: list[int]) -> list[np.ndarray]:
    wanted, found = set(indices), {}
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                found[number] = frame.to_ndarray(format="rgb24")
    return [found[index] for index in indices]


def opencv(path: Path, indices: list[int]) -> list[np.ndarray]:
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames = []
    for index in indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        frames.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
    return frames


def torchcodec(path: Path, indices: list[int]) -> object:
    from torchcodec.decoders import VideoDecoder

    return VideoDecoder(str(path), dimension_order="NHWC").get_frames_at(indices).data


def encode(path: Path, width: int, height: int, group: int) -> None:
    """Draw and encode a clip: soft blobs that move over a soft ground, with a camera's noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    ground = 110 + 60 * np.sin(5 * x + 3 * y)[..., None] * np.array([1, 0.6, -0.8], np.float32)
    noise = rng.normal(0, 2, (height + 32, width + 32, 3)).astype(np.float32)
    blobs = rng.uniform(0.1, 0.9, (6, 2))
    speeds = rng.uniform(-0.08, 0.08, (6, 2))
    colors = rng.uniform(-90, 90, (6, 3)).astype(np.float32)
    options = {"g": str(group), "keyint_min": str(group), "preset": "fast", "crf": "23"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(250):
            image = ground + noise[number * 7 % 32 :][:height, number * 11 % 32 :][:, :width]
            for (left, top), (across, down), color in zip(blobs, speeds, colors, strict=True):
                cx, cy = (left + across * number / 25) * width / height, top + down * number / 25
                distance = (x - cx) ** 2 + (y - cy) ** 2
                image += np.clip(1 - 20 * distance, 0, None)[..., None] * color
            picture = image.clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def throughput(model: str, count: int = 100, rounds: int = 7) -> None:
    """Label copies of a small clip: in turn, and by processes that read ahead of the engine.

    What reading and inference cost alone gives the rate that two busy processors could reach.
    """
    with tempfile.TemporaryDirectory() as folder, load_engine(model, threads=1) as engine:
        config = engine.metadata.config
        settings = ClipSettings(config.num_segments, config.preprocessing)
        clip = Path(folder) / "clip.mp4"
        encode(clip, 320, 240, 12)
        videos = [Video(str(clip))] * count
        clips = [reading.clip for reading in read_clips(enumerate(videos[:10]), settings, 0)]

        def read(workers: int) -> Iterable[Any]:
            return read_clips(enumerate(videos), settings, workers)

        def label(workers: int) -> Iterable[Any]:
            with LocalLabeller(engine, LabelOptions(workers=workers)) as labeller:
                yield from labeller.label(videos)

        ways: dict[str, Callable[[], Iterable[Any]]] = {
            "reading": lambda: read(0),
            "reading, 2 processes": lambda: read(2),
            "the engine": lambda: (engine.run(clips[turn % 10][None]) for turn in range(count)),
            "labels, in turn": lambda: label(0),
            "labels, 1 process reads ahead": lambda: label(1),
            "labels, 2 processes read ahead": lambda: label(2),
        }
        rates = np.array([[rate(way()) for way in ways.values()] for _ in range(rounds)])
    for name, found in zip(ways, rates.T, strict=True):
        low, middle, high = np.percentile(found, (25, 50, 75))
        print(f"{name}: {middle:.1f} videos a second ({low:.1f} to {high:.1f})")
    _, reading, inference, in_turn, _, best = rates.T
    bound = 1 / (1 / reading + 0.5 / inference)  # either processor reads, or runs the engine
    print(f"{np.median(best / in_turn):.2f} times as many as in turn,")
    print(f"{np.median(best / bound):.0%} of what both cost alone.")


def rate(items: Iterable[Any]) -> float:
    """Return how many items come in a second after the tenth, when all processes run."""
    iterator = iter(items)
    for _ in itertools.islice(iterator, 10):
        pass
    start = time.perf_counter()
    return sum(1 for _ in iterator) / (time.perf_counter() - start)


def hour(clip: Path, path: Path) -> None:
    """Put a clip of 10 seconds together 360 times and time its first 8 frames."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for turn in range(360):
            for packet in packets:
                shift = int(10 * turn / stream.time_base)
                again = av.Packet(bytes(packet))
                again.pts, again.dts = packet.pts + shift, packet.dts + shift
                again.time_base, again.duration = packet.time_base, packet.duration
                again.is_keyframe, again.stream = packet.is_keyframe, copy
                target.mux(again)
    start, busy = time.perf_counter(), time.process_time()
    video = VideoFile(path)
    frames = video.sample(lambda count: center_indices(count, 8))
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(
        f"One hour of {frames[0].shape[0]} lines, {path.stat().st_size / 1e6:.0f} MB, "
        f"{video.num_frames} frames: {seconds:.2f} s to 8 frames, {busy:.2f} s of CPU time.",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()

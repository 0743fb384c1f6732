"""Files are read in full; live sources give the newest frame and are connected again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data import feed as feeds
from adafuse_deploy.data.feed import FileFeed, Frame, LiveFeed, Sampling, open_feed
from adafuse_deploy.data.video import VideoFile, write_video


def frames(count: int, fps: float = 10.0, first: int = 0) -> Iterator[Frame]:
    """Frames of one pixel that tell their number."""
    for number in range(first, first + count):
        image = np.full((1, 1, 3), number, np.uint8)
        yield Frame(lambda image=image: image, number / fps)  # type: ignore[misc]


def numbers(picked: Iterator[Frame]) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in picked]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "FIRST_PAUSE", 0.01)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3)).astype(np.uint8)
    write_video(tmp_path / "video.mp4", images, fps=4)
    return tmp_path / "video.mp4"


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), list(range(12))),
        (Sampling(stride=5), [0, 5, 10]),
        (Sampling(spacing=0.1), list(range(12))),
        (Sampling(spacing=0.2), [0, 2, 4, 6, 8, 10]),
        (Sampling(spacing=1 / 3), [0, 3, 6, 10]),
        (Sampling(stride=2, spacing=0.4), [0, 4, 8]),
    ],
)
def test_sampling(sampling: Sampling, expected: list[int]) -> None:
    picked = list(sampling.pick(frames(12)))
    assert numbers(iter(picked)) == expected
    assert [frame.begins for frame in picked] == [True] + [False] * (len(expected) - 1)


@pytest.mark.parametrize("values", [{"stride": 0}, {"spacing": 1e-9}, {"spacing": -1.0}])
def test_impossible_sampling(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="at least"):
        Sampling(**values)  # type: ignore[arg-type]


def timed(times: list[float]) -> Iterator[Frame]:
    """Frames at these times that tell their number, which is below 1000."""
    for number, seconds in enumerate(times):
        image = np.full((1, 1, 3), number, np.int64)
        yield Frame(lambda image=image: image, seconds)  # type: ignore[misc]


def test_a_step_lasts_as_long_at_any_rate_and_where_frames_are_missing() -> None:
    """The frame that is shown stands for a step, for several if need be."""
    steps = Sampling(spacing=0.5)
    variable = [3.0, 3.1, 3.49, 3.52, 3.9, 4.0005, 4.4, 5.2, 5.3, 5.6]
    picked = list(steps.pick(timed(variable)))
    assert numbers(iter(picked)) == [0, 2, 5, 6, 6, 8]
    assert [frame.seconds for frame in picked] == [3, 3.5, 4, 4.5, 5, 5.5]
    # Container clocks round: milliseconds of Matroska are no earlier.
    rounded = [round(number / 30, 3) for number in range(31)]
    assert numbers(Sampling(spacing=1 / 3).pick(timed(rounded))) == [0, 10, 20, 30]
    for rate in (5, 8, 25, 60):
        rng = np.random.default_rng(rate)
        kept = [n / rate for n in range(10 * rate) if n == 0 or rng.random() > 0.2]
        picked = list(Sampling(spacing=0.375).pick(timed(kept)))
        times = [frame.seconds for frame in picked]
        assert times == pytest.approx([0.375 * step for step in range(len(times))])
        found = [kept[number] for number in numbers(iter(picked))]
        early = np.subtract(times, found)
        assert early.min() > -1e-3 and early.max() < max(np.diff(kept)) and len(times) >= 26


def test_the_last_frame_is_shown_for_a_while() -> None:
    whole, spacing = [n / 8 for n in range(24)], Sampling(spacing=0.375)
    assert numbers(spacing.pick(timed(whole))) == list(range(0, 24, 3))
    slow = [n / 5 for n in range(14)]  # of 15, the last of which is missing: 2.6 is shown at 2.625
    assert numbers(spacing.pick(timed(slow)))[-2:] == [11, 13]
    assert numbers(spacing.pick(timed([0.0]))) == [0]


def test_damage_is_told_by_the_step_that_shows_it() -> None:
    marked = [replace(f, damaged=n in (1, 4)) for n, f in enumerate(timed([0, 0.6, 1.1, 1.9, 2.4]))]
    picked = list(Sampling(spacing=1).pick(iter(marked)))
    assert numbers(iter(picked)) == [0, 1, 3]
    assert [frame.damaged for frame in picked] == [False, True, False]


def test_steps_begin_anew_after_a_break() -> None:
    """Clocks of cameras jump, and recordings are joined."""
    jumps = [0.0, 0.5, 1.0, 1.7e9, 1.7e9 + 0.5, 2.0, 2.5, 2.3, 3.0]
    picked = list(Sampling(spacing=0.5).pick(timed(jumps)))
    assert numbers(iter(picked)) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert [frame.begins for frame in picked] == [n in (0, 3, 5) for n in range(8)]


def test_time_stamps_so_large_that_a_step_is_lost_in_them() -> None:
    for begin in (1e300, 9.2e18):
        assert numbers(Sampling(spacing=0.375).pick(timed([begin, begin]))) == [0]


def test_who_tells_no_time_has_the_rate_that_is_said(tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / f"{number:03d}.png")
    for rate, seconds in ((None, 1 / 25), (2.0, 0.5)):
        with open_feed(str(tmp_path), Sampling(), rate=rate) as feed:
            assert [frame.seconds for frame in feed] == [n * seconds for n in range(6)]
    with open_feed(str(tmp_path), Sampling(spacing=1), rate=2) as feed:
        assert numbers(iter(feed)) == [0, 2, 4]


def test_a_file_gives_every_frame_however_slow_the_reader(video: Path) -> None:
    with open_feed(str(video), Sampling()) as feed:
        assert isinstance(feed, FileFeed)
        seen = []
        for frame in feed:
            seen.append(frame)
            time.sleep(0.005)
    np.testing.assert_array_equal(
        np.stack([frame.image for frame in seen]), VideoFile(video).frames(range(12))
    )
    assert [frame.seconds for frame in seen] == [number / 4 for number in range(12)]
    assert feed.dropped == 0


def test_folders_and_odd_names_are_files(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"left_{number}.png")
        Image.new("RGB", (8, 8), (0, number, 0)).save(folder / f"right_{number}.png")
    with open_feed(str(folder), Sampling(), template="left_{:d}.png") as feed:
        seen = list(feed)
    assert numbers(iter(seen)) == [0, 1, 2]
    assert [frame.seconds for frame in seen] == pytest.approx([0, 0.04, 0.08])
    for name in ("rtsp:12:30.mp4", "rtsp:/x.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(video.read_bytes())
        for source in (f"{tmp_path}/{name}", f"file://{tmp_path}/{name}"):
            with open_feed(source, Sampling()) as feed:
                assert isinstance(feed, FileFeed) and len(list(feed)) == 12
    assert feeds.is_live("rtsp://host/x") and feeds.is_live("/dev/video_that_is_not_there")


def test_damage_is_told_by_the_next_frame_that_counts() -> None:
    marked = (replace(frame, damaged=number in (2, 3)) for number, frame in enumerate(frames(8)))
    picked = list(Sampling(stride=4).pick(marked))
    assert [frame.damaged for frame in picked] == [False, True]


def test_a_live_source_gives_the_newest_frame_and_counts_the_rest() -> None:
    taken = threading.Event()

    def connect() -> Iterator[Frame]:
        yield from frames(1)
        taken.wait(5)
        yield from frames(50, first=1)
        raise InputError("over")

    feed = LiveFeed(connect, Sampling(), retries=0)
    seen = []
    with pytest.raises(InputError, match="over"):
        for frame in feed:
            seen.append(frame)
            taken.set()
            time.sleep(0.1)  # meanwhile all others come
    assert numbers(iter(seen)) == [0, 50]
    assert [frame.begins for frame in seen] == [True, False]
    assert feed.dropped == 49
    feed.close()


def test_a_lost_connection_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    attempts = [3, None, None, 2]
    step = threading.Semaphore(0)

    def connect() -> Iterator[Frame]:
        count = attempts.pop(0) if attempts else None
        if count is None:
            raise InputError("The camera is off.")
        for frame in frames(count):
            yield frame
            step.acquire(timeout=5)  # none is dropped

    sentences: list[str] = []
    feed = LiveFeed(connect, Sampling(), retries=3, notify=sentences.append)
    monkeypatch.setattr(feed._stop, "wait", pauses.append)
    seen = []
    with pytest.raises(InputError, match="camera is off"):
        for frame in feed:
            seen.append(frame)
            step.release()
    assert [frame.begins for frame in seen] == [True, False, False, True, False]
    assert pauses == pytest.approx([0.01, 0.02, 0.04, 0.01, 0.02, 0.04])
    assert "The source ended. Connecting again in 0.01 s." in sentences[0]
    assert "The camera is off. Connecting again in 0.02 s." in sentences[1]
    assert sentences[3] == "Connected again."


def test_the_first_connection_must_succeed() -> None:
    def connect() -> Iterator[Frame]:
        raise InputError("There is no camera.")
        yield  # what makes it an iterator

    with pytest.raises(InputError, match="no camera"):
        next(iter(LiveFeed(connect, Sampling())))


@pytest.mark.parametrize("planted", [ValueError("planted"), SystemExit(3), MemoryError("no room")])
@pytest.mark.parametrize("place", ["connect", "frames", "notify"])
def test_whatever_ends_the_reader_is_told(planted: BaseException, place: str) -> None:
    def connect() -> Iterator[Frame]:
        if place == "connect":
            raise planted
        yield from frames(1)
        if place == "frames":
            raise planted

    def notify(sentence: str) -> None:
        raise planted

    feed = LiveFeed(connect, Sampling(), notify=notify)
    outcome: list[BaseException] = []

    def consume() -> None:
        try:
            for _ in feed:
                pass
        except InputError as error:
            outcome.append(error)

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    consumer.join(5)
    (error,) = outcome
    assert f"{type(planted).__name__}: {planted}" in str(error)
    assert error.__cause__ is planted


def test_closing_lets_go_who_waits() -> None:
    begun = threading.Event()

    def connect() -> Iterator[Frame]:
        begun.set()
        while not feed._stop.wait(0.01):
            pass
        yield from ()

    feed = LiveFeed(connect, Sampling())
    consumer = threading.Thread(target=list, args=(feed,), daemon=True)
    consumer.start()
    begun.wait(5)
    feed.close()
    consumer.join(5)
    assert not consumer.is_alive() and not feed._thread.is_alive()


def test_closing_stops_the_reader() -> None:
    def connect() -> Iterator[Frame]:
        while True:
            yield from frames(1)
            time.sleep(0.001)

    feed = LiveFeed(connect, Sampling())
    next(iter(feed))
    feed.close()
    assert not feed._thread.is_alive()


def serve(content: bytes, connections: int) -> tuple[str, Callable[[], None]]:
    """Send ``content`` to so many clients, one after another; then nobody listens any more."""
    server = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        for _ in range(connections):
            client, _ = server.accept()
            with client:
                client.sendall(content)
        server.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return f"tcp://127.0.0.1:{server.getsockname()[1]}", thread.join


def test_a_network_camera_that_restarts(tmp_path: Path) -> None:
    path = tmp_path / "camera.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            image = np.full((48, 64, 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    address, join = serve(path.read_bytes(), connections=2)
    begun = 0
    with open_feed(address, Sampling(), retries=2) as feed:
        assert isinstance(feed, LiveFeed)
        with pytest.raises(InputError, match="cannot be read"):
            for frame in feed:
                assert abs(int(frame.image.mean()) - 90) < 5
                begun += frame.begins
    join()
    assert begun == 2


def test_missing_and_unreadable_sources(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"no video file .*none\.mp4"),
        open_feed(str(tmp_path / "none.mp4"), Sampling()),
    ):
        pass
    (tmp_path / "text.mp4").write_text("no video")
    with (
        open_feed(str(tmp_path / "text.mp4"), Sampling()) as feed,
        pytest.raises(InputError, match="damaged or not a video"),
    ):
        next(iter(feed))
    with (
        open_feed("/dev/video_that_is_not_there", Sampling()) as feed,
        pytest.raises(InputError, match="check the address and that the source is on"),
    ):
        next(iter(feed))

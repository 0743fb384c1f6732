"""Opening what FFmpeg reads, and telling videos from all else that it reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adafuse_deploy.core.errors import InputError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
"""FFmpeg's formats that draw a text file as a picture."""


def is_address(source: str | os.PathLike[str]) -> bool:
    """Whether a source is a network address such as ``rtsp://host/path`` rather than a file."""
    return "://" in os.fspath(source) and not os.path.exists(source)


def check_local(path: str | os.PathLike[str]) -> None:
    """Refuse a network address where a file is wanted.

    Raises:
        InputError: it is one.
    """
    if is_address(path):
        raise InputError(
            f"{path} is a network address, and only 'adafuse-deploy stream' reads those; "
            "download the video first."
        )


def file_url(path: str | os.PathLike[str]) -> str:
    """Return a path as FFmpeg takes it without looking for a protocol before its first colon."""
    return f"file:{os.fspath(path)}"


def check_exists(path: str | os.PathLike[str]) -> None:
    """Raise :class:`InputError` unless there is such a file."""
    if not os.path.isfile(path):
        raise InputError(f"There is no video file {path}; check the path.")


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and find its video stream.

    Raises:
        InputError: the file is missing, is not a video, or cannot be decoded inside the block.
    """
    import av

    check_exists(path)
    try:
        with av.open(file_url(path)) as container:
            yield container, video_stream(container, path)
    except av.FFmpegError as error:
        raise InputError(
            f"{path} cannot be decoded ({error.strerror}): it is damaged or not a video; "
            "record it again or convert it to .mp4."
        ) from error


def video_stream(container: InputContainer, source: str | os.PathLike[str]) -> VideoStream:
    """Return the first video stream of an open container.

    Args:
        container: what FFmpeg opened.
        source: its name, for messages.

    Raises:
        InputError: there is none: it holds a picture, text, or sound, with a cover or without.
    """
    import av

    kind = container.format.name
    if kind in _TEXT_FORMATS:
        raise InputError(f"{source} is a text, not a video; give a video file.")
    if kind == "image2" or kind.endswith("_pipe"):
        raise InputError(
            f"{source} is a picture, not a video; give a video file or a folder of numbered images."
        )
    streams = container.streams.video
    for stream in streams:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    cover = " and a cover picture" if streams else ""
    raise InputError(f"{source} has no video stream, only other media{cover}; give a video file.")

"""Videos with a caption on every frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.data.feed import Frame
from adafuse_deploy.data.media import file_url
from adafuse_deploy.data.video import encoder

CLOCK = Fraction(1, 90_000)
"""Seconds that a time stamp counts."""


def write_annotated(
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    captions: Callable[[float], tuple[str, str]],
) -> int:
    """Write a video with captions; every frame keeps its time, sound is left out.

    Args:
        path: what to write, an .mp4.
        frames: of the video, in order; those of another size than the first are resized.
        captions: gives a frame's two lines for its second, counted from the first frame.

    Returns:
        How many frames there are.

    Raises:
        InputError: there is no frame, or the file cannot be written.
    """
    import av

    count, first, last = 0, 0.0, -1
    with atomic_path(path) as temporary:
        try:
            with av.open(file_url(temporary), "w") as container:
                for frame in frames:
                    image = Image.fromarray(np.ascontiguousarray(frame.image))
                    if not count:
                        name, options = encoder()
                        stream = container.add_stream(name, rate=25, options=options)
                        stream.width, stream.height = (side // 2 * 2 for side in image.size)
                        stream.pix_fmt = "yuv420p"
                        stream.codec_context.time_base = CLOCK
                        first = frame.seconds
                    seconds = frame.seconds - first
                    image = _fitted(image, stream.width, stream.height)
                    _draw(image, captions(seconds))
                    picture = av.VideoFrame.from_image(image)
                    picture.time_base = CLOCK
                    picture.pts = last = max(last + 1, round(seconds / CLOCK))
                    container.mux(stream.encode(picture))
                    count += 1
                if not count:
                    raise InputError("There is no frame to write; record or download the video.")
                container.mux(stream.encode())
        except av.FFmpegError as error:
            raise InputError(
                f"Cannot write {path}: {error.strerror}; free some space, or choose another place."
            ) from error
    return count


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return an image with even sides, which the encoder's colours need."""
    if abs(image.width - width) <= 1 and abs(image.height - height) <= 1:
        return image.crop((0, 0, width, height))
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _draw(image: Image.Image, lines: tuple[str, str]) -> None:
    """Draw two lines on a dark bar at the bottom, as large as the frame's width allows."""
    draw = ImageDraw.Draw(image, "RGBA")
    size = max(8, image.height // 18)
    margin = size // 2
    sizes = (size, max(7, round(size * 0.7)))
    fonts = [_font(lines[n], sizes[n], image.width - 2 * margin, draw) for n in range(2)]
    tall = [round(font.size * 1.3) for font in fonts]
    top = image.height - sum(tall) - margin
    draw.rectangle((0, top - margin // 2, image.width, image.height), fill=(0, 0, 0, 160))
    for line, font, step, color in zip(lines, fonts, tall, ("white", "honeydew"), strict=True):
        draw.text((margin, top), line, font=font, fill=color)
        top += step


def _font(line: str, size: int, width: int, draw: ImageDraw.ImageDraw) -> ImageFont.FreeTypeFont:
    """Return the largest font up to ``size`` in which a line is not wider than ``width``."""
    while True:
        font = ImageFont.load_default(size)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise InputError(
                "Pillow was built without FreeType and draws no captions; reinstall it."
            )
        if size <= 6 or draw.textlength(line, font=font) <= width:
            return font
        size -= 1

"""One video of a list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adafuse_deploy.data.frames import FrameFolder, FrameSource
from adafuse_deploy.data.numbering import Numbering
from adafuse_deploy.data.video import VideoFile


@dataclass(frozen=True)
class Record:
    """One video of a list.

    Attributes:
        path: a folder of frames or a video file.
        label: class, counting from 0, or :data:`adafuse_deploy.data.labels.NO_LABEL`.
        numbering: of the folder's images; None for a video file.
        listed: how many frames the list gives a video file, which is asked itself.
        origin: where the record was listed, for messages.
        strict: refuse a video file with damaged frames.
    """

    path: Path
    label: int
    numbering: Numbering | None = None
    listed: int | None = None
    origin: str = ""
    strict: bool = False

    def open(self) -> FrameSource:
        """Open the frames.

        Raises:
            InputError: they are missing or unreadable.
        """
        if self.numbering is None:
            return VideoFile(self.path, strict=self.strict)
        return FrameFolder(self.path, numbering=self.numbering)
